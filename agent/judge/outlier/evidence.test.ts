import { expect, test } from 'vitest';
import { addEvidence, NO_COUNTS, NO_EVIDENCE, recentEvidence, sketchOf, TAIL_SECONDS } from './evidence.ts';

const calls = (count: number) => ({ ...NO_COUNTS, calls: count });

test('adds up within a second and over the window', () => {
  let window = addEvidence(NO_EVIDENCE, calls(2), 1_000);
  window = addEvidence(window, calls(3), 1_900);
  window = addEvidence(window, { ...calls(4), failures: 1, broken: 1, abandoned: 2 }, 5_000);
  expect(window).toHaveLength(2);
  expect(recentEvidence(window, 5_000)).toMatchObject({ calls: 9, failures: 1, broken: 1, abandoned: 2 });
  expect(recentEvidence(window, 5_000, 3).calls).toBe(4);
});

test('forgets after ten seconds, rare events after 30', () => {
  const window = addEvidence(addEvidence(NO_EVIDENCE, calls(2), 1_000), calls(1), 11_000);
  expect(recentEvidence(window, 11_000).calls).toBe(1);
  expect(recentEvidence(window, 11_000, TAIL_SECONDS).calls).toBe(3);
  expect(recentEvidence(window, 30_000)).toEqual(NO_COUNTS);
  expect(recentEvidence(addEvidence(window, calls(1), 41_000), 41_000, TAIL_SECONDS).calls).toBe(1);
});

test('a clock that was set back starts a new window', () => {
  const window = addEvidence(NO_EVIDENCE, calls(7), 4_000_000);
  expect(recentEvidence(window, 400_000).calls).toBe(0);
  expect(recentEvidence(addEvidence(window, calls(1), 400_000), 400_000).calls).toBe(1);
});

test('joins latencies without changing the sketches it was given', () => {
  const first = sketchOf([5, 5]);
  let window = addEvidence(NO_EVIDENCE, { ...calls(2), latency: first }, 1_000);
  window = addEvidence(window, { ...calls(1), latency: sketchOf([80]) }, 1_500);
  window = addEvidence(window, calls(1), 1_600);
  expect(recentEvidence(window, 2_000).latency).toMatchObject({ count: 3, sum: 90, max: 80 });
  expect(first.count).toBe(2);
});

test('the seconds before the last ten keep their counts, without latencies, in few slices', () => {
  let window = NO_EVIDENCE;
  for (let second = 0; second < 60; second++) {
    window = addEvidence(window, { ...calls(1), abandoned: 1, latency: sketchOf([5]) }, second * 1_000);
    const { calls: counted, abandoned, latency } = recentEvidence(window, second * 1_000, TAIL_SECONDS);
    expect(counted).toBe(abandoned);
    expect(latency?.count).toBe(Math.min(second + 1, 10));
    // Old slices leave by five seconds at once.
    expect(Math.min(second + 1, 30) - counted).toBeLessThan(5);
    expect(Math.min(second + 1, 30) - counted).toBeGreaterThanOrEqual(0);
    expect(window.length).toBeLessThanOrEqual(15);
  }
});
