import { expect, test } from 'vitest';
import { HedgeBudget, hedgeDelay } from './hedge.ts';
import { addToSketch, emptySketch } from './sketch.ts';

function sketchOf(count: number, ms: number) {
  const sketch = emptySketch();
  addToSketch(sketch, ms, count);
  return sketch;
}

test('the delay is twice the 95th percentile, at least 50 ms', () => {
  const delay = hedgeDelay(sketchOf(50, 100), 1);
  expect(delay).toBeGreaterThan(195);
  expect(delay).toBeLessThan(205);
  expect(hedgeDelay(sketchOf(1_000, 3), 1_000)).toBe(50);
  const tail = sketchOf(90, 10);
  addToSketch(tail, 1_000, 10);
  expect(hedgeDelay(tail, 1)).toBeGreaterThan(1_900);
});

test('with fewer than 50 samples the delay follows from the mean latency in the snapshot', () => {
  for (const latency of [null, sketchOf(49, 10_000)]) {
    expect(hedgeDelay(latency, undefined)).toBe(50);
    expect(hedgeDelay(latency, 5)).toBe(50);
    expect(hedgeDelay(latency, 100)).toBe(600);
  }
});

/** Every request is late. Returns how many copies were sent. */
function sendLate(budget: HedgeBudget, requests: number, now: (request: number) => number, won = true) {
  let copies = 0;
  for (let request = 0; request < requests; request++) {
    budget.onRequest();
    if (!budget.tryHedge(now(request))) continue;
    copies++;
    budget.onResult(won);
  }
  return copies;
}

test('at most 5 % of the requests are copied, besides the five copies a new isolate may send', () => {
  const copies = sendLate(new HedgeBudget(), 10_000, (request) => request * 7);
  expect(copies).toBeGreaterThanOrEqual(500);
  expect(copies).toBeLessThanOrEqual(505);
});

test('a quiet time saves up 20 copies at most', () => {
  const budget = new HedgeBudget();
  for (let request = 0; request < 10_000; request++) budget.onRequest();
  let copies = 0;
  while (budget.tryHedge(0)) copies++;
  expect(copies).toBe(20);
});

/** A budget whose last twenty copies all lost, with 20 copies saved up. */
function restingBudget(): HedgeBudget {
  const budget = new HedgeBudget();
  for (let request = 0; request < 10_000; request++) budget.onRequest();
  for (let copy = 0; copy < 20; copy++) budget.onResult(false);
  return budget;
}

test('hedging rests while most copies lose, except for one trial a second', () => {
  const budget = restingBudget();
  expect(budget.isUseful()).toBe(false);
  const copies = sendLate(budget, 10_000, (request) => 1_000_000 + request, false);
  expect(copies).toBe(10);
});

test('a verdict needs ten results, and half of them may lose', () => {
  const budget = new HedgeBudget();
  for (let copy = 0; copy < 9; copy++) budget.onResult(false);
  expect(budget.isUseful()).toBe(true);
  budget.onResult(false);
  expect(budget.isUseful()).toBe(false);
  for (let copy = 0; copy < 10; copy++) budget.onResult(true);
  expect(budget.isUseful()).toBe(true);
  budget.onResult(false);
  expect(budget.isUseful()).toBe(true);
});

test('trials that win end the pause', () => {
  const budget = restingBudget();
  let seconds = 0;
  while (!budget.isUseful()) {
    expect(budget.tryHedge(1_000_000 + seconds * 1_000)).toBe(true);
    budget.onResult(true);
    seconds++;
  }
  expect(seconds).toBe(10);
});

test('a clock that is set back does not block the trials', () => {
  const budget = restingBudget();
  expect(budget.tryHedge(10_000_000)).toBe(true);
  expect(budget.tryHedge(10_000_500)).toBe(false);
  expect(budget.tryHedge(5_000_000)).toBe(true);
});
