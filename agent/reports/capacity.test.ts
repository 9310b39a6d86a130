import { expect, test } from 'vitest';
import { formatCapacity } from '../cli/capacity-text.ts';
import type { Terminal } from '../cli/terminal.ts';
import { emptyRollup } from '../history/rollups/rollup.ts';
import { reviewCapacity, reviewedMonth } from './capacity.ts';

const DAY = 86_400;
const plain: Terminal = {
  write() {},
  error() {},
  progressLine() {},
  showsProgress: false,
  rows: 24,
  interactive: false,
  columns: 80,
  paint: (_, text) => text,
};
const at = (year: number, month: number, day = 1) => Date.UTC(year, month - 1, day) / 1000;

/** One busy hour per day, the first; each request takes one second. */
const peaks = (from: number, rates: readonly number[]) =>
  rates.map((rate, index) => {
    const start = from + index * DAY;
    return {
      ...emptyRollup(start, 'gs', ''),
      rows: 360,
      requests: rate * 3_600,
      responseTimeSum: rate * 3_600,
      peakRate: rate,
      peakConcurrency: Math.ceil(rate),
    };
  });

/** The rate grows by `perDay`; weekends have half of it. */
const history = (from: number, days: number, perDay: number) =>
  peaks(
    from,
    Array.from({ length: days }, (_, index) => {
      const weekend = [0, 6].includes(new Date((from + index * DAY) * 1000).getUTCDay());
      return (20 + perDay * index) * (weekend ? 0.5 : 1);
    }),
  );

const review = (days: number, perDay: number, maxconn = 30) =>
  reviewCapacity({
    site: 'main',
    month: 11,
    now: at(2026, 11, 24) + 5_000,
    hours: history(at(2026, 11, 24) - days * DAY, days, perDay),
    services: [{ service: 'gs', instances: 2, maxconn }],
  }).services[0];

test('reviews the latest month of that number that has started', () => {
  const now = at(2026, 11, 24);
  expect(reviewedMonth(11, now)).toEqual({ from: at(2026, 11), to: now, forecastTo: at(2027, 3) });
  expect(reviewedMonth(12, now)).toEqual({ from: at(2025, 12), to: at(2026, 1), forecastTo: at(2026, 4) });
});

test('names the day on which a growing service runs out of capacity, and the instances to add', () => {
  const gs = review(100, 0.3);
  if (!gs || gs.refused !== undefined) throw new Error(gs?.refused);
  // 50 at once on the last day, 0.3 more each: 60 after about 34 days, give or take the damping.
  const days = ((gs.exhaustion.expected ?? 0) - at(2026, 11, 24)) / DAY;
  expect(days).toBeGreaterThan(25);
  expect(days).toBeLessThan(45);
  expect(gs.exhaustion.upper ?? 0).toBeLessThanOrEqual(gs.exhaustion.expected ?? 0);
  expect(gs.instancesToAdd).toBeGreaterThanOrEqual(1);
  expect(gs.review.littleConcurrency).toBeCloseTo(gs.review.peakRate);
});

test('says so when demand already exceeds capacity', () => {
  const capacity = reviewCapacity({
    site: 'main',
    month: 11,
    now: at(2026, 11, 24),
    hours: history(at(2026, 11, 24) - 40 * DAY, 40, 1),
    services: [{ service: 'gs', instances: 1, maxconn: 10 }],
  });
  expect(formatCapacity(capacity, plain)).toMatch(
    /gs: demand already exceeds the capacity; add \d+ instances to/,
  );
});

test('suggests no change for a steady service', () => {
  const gs = review(100, 0, 100);
  expect(gs).toMatchObject({ exhaustion: { expected: null, upper: null }, instancesToAdd: 0 });
});

test('refuses with the reason when history is too short or has too many gaps', () => {
  expect(review(20, 0.3)?.refused).toContain('20 full days before 2026-11-24');
  expect(review(0, 0)?.refused).toContain('none at all');
  const hours = history(at(2026, 9), 80, 0).filter((_, index) => index % 2 === 0);
  const [gs] = reviewCapacity({
    site: 'main',
    month: 11,
    now: at(2026, 11, 24),
    hours,
    services: [{ service: 'gs', instances: 2, maxconn: 30 }],
  }).services;
  expect(gs?.refused).toContain('gaps');
});

test('does not count a partial first day of history', () => {
  const [first, ...rest] = history(at(2026, 11, 24) - 28 * DAY, 28, 0.3);
  if (!first) throw new Error('no history');
  const hours = [{ ...first, start: first.start + 20 * 3_600 }, ...rest];
  const services = [{ service: 'gs', instances: 2, maxconn: 30 }];
  const [gs] = reviewCapacity({ site: 'main', month: 11, now: at(2026, 11, 24), hours, services }).services;
  expect(gs?.refused).toContain('27 full days');
});

test.each([
  ['nothing at all', () => 0],
  ['always the same', () => 5],
  ['less and less', (day: number) => Math.max(0, 50 - day)],
  ['one spike', (day: number) => (day === 50 ? 1_000 : 1)],
  ['a sudden growth', (day: number) => (day < 80 ? 1 : Math.exp((day - 80) * 0.3))],
  ['a sudden end', (day: number) => (day > 90 ? 0 : 50)],
  ['every other day', (day: number) => (day % 2 ? 100 : 0)],
])('shows finite numbers of at least zero: %s', (_name, rate) => {
  const capacity = reviewCapacity({
    site: 'main',
    month: 11,
    now: at(2026, 11, 24),
    hours: peaks(
      at(2026, 11, 24) - 100 * DAY,
      Array.from({ length: 100 }, (_, day) => rate(day)),
    ),
    services: [{ service: 'gs', instances: 2, maxconn: 30 }],
  });
  const [gs] = capacity.services;
  if (!gs || gs.refused !== undefined) throw new Error(gs?.refused);
  for (const { value, lower, upper } of [...gs.rate.days, ...gs.concurrency.days]) {
    expect(lower).toBeGreaterThanOrEqual(0);
    expect(value).toBeGreaterThanOrEqual(lower);
    expect(upper).toBeGreaterThanOrEqual(value);
    expect(upper).toBeLessThan(1e6);
  }
  expect(formatCapacity(capacity, plain)).not.toMatch(/NaN|Infinity|undefined/);
});

test('prints a reason that several services share once', () => {
  const services = ['gs', 'ac'].map((service) => ({ service, instances: 2, maxconn: 30 }));
  const capacity = reviewCapacity({
    site: 'main',
    month: 11,
    now: at(2026, 11, 24),
    hours: [],
    services,
  });
  expect(formatCapacity(capacity, plain).match(/No forecast for .*/g)).toEqual([
    expect.stringMatching(/^No forecast for gs, ac: history is too short/),
  ]);
});
