import { describe, expect, it } from 'vitest';
import { forecast, minimumValues } from './forecast.ts';
import { fitHoltWinters, holtWintersPoints } from './holt-winters.ts';

const random = (seed: number) => () => {
  seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32;
  return seed / 2 ** 32;
};

/** Hourly values with a daily and a weekly season, a trend of 40 % over eight weeks, and noise. */
function hours(count: number, noise = 0.05): number[] {
  const next = random(7);
  return Array.from({ length: count }, (_, hour) => {
    const day = Math.floor(hour / 24) % 7;
    const level = (day > 4 ? 50 : 100) * (1 + 0.5 * Math.sin((2 * Math.PI * (hour % 24)) / 24));
    return level * (1 + (0.4 * hour) / (8 * 168)) * (1 + noise * (2 * next() - 1));
  });
}

describe('forecast', () => {
  it('Holt-Winters beats the seasonal-naive method on a season with a trend', () => {
    const { method, backTest } = forecast(hours(8 * 168), 168, 168);
    expect(method).toBe('holt-winters');
    expect(backTest.mase['holt-winters']).toBeLessThan(0.8 * backTest.mase['seasonal-naive']);
    expect(backTest.lastError['holt-winters']).toBeLessThan(0.05);
  });

  it('uses the seasonal-naive method when Holt-Winters is no better', () => {
    const flat = Array.from({ length: 70 }, (_, day) => [5, 6, 7, 6, 5, 2, 1][day % 7] ?? 0);
    const made = forecast(flat, 7, 14);
    expect(made.method).toBe('seasonal-naive');
    expect(made.points).toEqual([5, 6, 7, 6, 5, 2, 1, 5, 6, 7, 6, 5, 2, 1]);
  });

  it('continues a straight line with a damped slope', () => {
    const line = Array.from({ length: 12 * 7 }, (_, day) => 100 + day);
    const points = holtWintersPoints(fitHoltWinters(line, 7), 30);
    expect(points[0]).toBeCloseTo(184, 0);
    expect(points[29]).toBeGreaterThan(200);
    expect(points[29]).toBeLessThan(214);
  });

  it('the interval contains about 90 % of the actual values', () => {
    const all = hours(10 * 168, 0.2);
    const made = forecast(all.slice(0, 9 * 168), 168, 168);
    const inside = all.slice(9 * 168).filter((value, index) => {
      return value >= (made.lower[index] ?? 0) && value <= (made.upper[index] ?? 0);
    });
    expect(inside.length / 168).toBeGreaterThan(0.8);
    expect(made.upper.at(-1) ?? 0).toBeGreaterThan(made.points.at(-1) ?? 0);
  });

  it('needs four periods', () => {
    expect(minimumValues(7)).toBe(28);
  });
});
