import { describe, expect, it } from 'vitest';
import type { Terminal } from '../cli/terminal.ts';
import { emptyRollup } from '../rollups/rollup.ts';
import { reviewCapacity, reviewedMonth } from './capacity.ts';
import { capacityText } from './capacity-text.ts';

const DAY = 86_400;
const at = (year: number, month: number, day = 1) => Date.UTC(year, month - 1, day) / 1000;

/** A peak hour a day: rate grows by `perDay`, weekends at half, each request takes a second. */
const history = (from: number, days: number, perDay: number) =>
  Array.from({ length: days }, (_, index) => {
    const start = from + index * DAY;
    const rate = (20 + perDay * index) * ([0, 6].includes(new Date(start * 1000).getUTCDay()) ? 0.5 : 1);
    return {
      ...emptyRollup(start + 12 * 3_600, 'gs', ''),
      ...{
        rows: 360,
        requests: rate * 3_600,
        responseTimeSum: rate * 3_600,
        peakRate: rate,
        peakConcurrency: Math.ceil(rate),
      },
    };
  });

const review = (days: number, perDay: number, maxconn = 30) =>
  reviewCapacity({
    ...{ site: 'main', month: 11, now: at(2026, 11, 24) + 5_000 },
    hours: history(at(2026, 11, 24) - days * DAY, days, perDay),
    services: [{ service: 'gs', instances: 2, maxconn }],
  }).services[0];

describe('capacity', () => {
  it('takes the latest such month that has begun', () => {
    const now = at(2026, 11, 24);
    expect(reviewedMonth(11, now)).toEqual({ from: at(2026, 11), to: now, forecastTo: at(2027, 3) });
    expect(reviewedMonth(12, now)).toEqual({ from: at(2025, 12), to: at(2026, 1), forecastTo: at(2026, 4) });
  });

  it('names the day a growing service is full, and how many instances keep it from that', () => {
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

  it('leaves a steady service alone', () => {
    const gs = review(100, 0, 100);
    expect(gs).toMatchObject({ exhaustion: { expected: null, upper: null }, instancesToAdd: 0 });
  });

  it('refuses with the reason when history is too short or mostly holes', () => {
    expect(review(20, 0.3)?.refused).toContain('20 full days before 2026-11-24');
    expect(review(0, 0)?.refused).toContain('none at all');
    const hours = history(at(2026, 9), 80, 0).filter((_, index) => index % 2 === 0);
    const [gs] = reviewCapacity({
      ...{ site: 'main', month: 11, now: at(2026, 11, 24), hours },
      services: [{ service: 'gs', instances: 2, maxconn: 30 }],
    }).services;
    expect(gs?.refused).toContain('holes');
  });

  it('tells a reason that several services share once', () => {
    const services = ['gs', 'ac'].map((service) => ({ service, instances: 2, maxconn: 30 }));
    const capacity = reviewCapacity({
      site: 'main',
      month: 11,
      now: at(2026, 11, 24),
      hours: [],
      services,
    });
    const plain: Terminal = {
      ...{ write() {}, error() {}, interactive: false, columns: 80 },
      paint: (_, text) => text,
    };
    expect(capacityText(capacity, plain).match(/No forecast for .*/g)).toEqual([
      expect.stringMatching(/^No forecast for gs, ac: history is too short/),
    ]);
  });
});
