import { fitHoltWinters, holtWintersPoints, holtWintersSpread, mean } from './holt-winters.ts';

export type ForecastMethod = 'seasonal-naive' | 'holt-winters';

export interface Forecast {
  method: ForecastMethod;
  points: number[];
  /** 90 % interval; never below zero. */
  lower: number[];
  upper: number[];
  backTest: BackTest;
}

/**
 * Both methods on weeks they had not seen. MASE (Hyndman and Koehler 2006): mean absolute error over that of repeating
 * the last period inside the training data; below 1 is better than that. Infinite where nothing there ever changed.
 */
export interface BackTest {
  folds: number;
  horizon: number;
  mase: Record<ForecastMethod, number>;
  /** Mean absolute error over the last held-out period, as a share of its mean. */
  lastError: Record<ForecastMethod, number>;
}

/** Standard normal deviate of a 90 % interval. */
const Z = 1.645;
const MAX_FOLDS = 4;

/** Least number of values: three periods to learn from and one to be tried on. */
export const minimumValues = (period: number): number => 4 * period;

/** Values at equal steps, without holes, at least `leastValues(period)` of them. */
export function forecast(values: readonly number[], period: number, horizon: number): Forecast {
  const tried = backTest(values, period);
  const method: ForecastMethod =
    tried.mase['holt-winters'] < tried.mase['seasonal-naive'] ? 'holt-winters' : 'seasonal-naive';
  return { method, ...predict(method, values, period, horizon), backTest: tried };
}

interface Prediction {
  points: number[];
  lower: number[];
  upper: number[];
}

export function predict(
  method: ForecastMethod,
  values: readonly number[],
  period: number,
  horizon: number,
): Prediction {
  if (method === 'holt-winters') return holtWinters(values, period, horizon);
  const last = values.slice(-period);
  const errors = values.slice(period).map((value, index) => value - (values[index] ?? 0));
  const sigma = Math.sqrt(mean(errors.map((error) => error * error)));
  const points = Array.from({ length: horizon }, (_, index) => last[index % period] ?? 0);
  const spread = points.map((_, index) => sigma * Math.sqrt(Math.floor(index / period) + 1));
  return around(points, spread, (value) => value);
}

/**
 * Of values as they are, or of their logarithms: a rhythm that grows with the level is one of factors, not of summands.
 * Whichever came nearer on the last period is used.
 */
function holtWinters(values: readonly number[], period: number, horizon: number): Prediction {
  const plain = (known: readonly number[], steps: number) => of(known, period, steps, (value) => value);
  const factors = (known: readonly number[], steps: number) =>
    of(known.map(Math.log), period, steps, Math.exp);
  if (Math.min(...values) <= 0) return plain(values, horizon);
  const known = values.slice(0, -period);
  const off = ({ points }: Prediction) =>
    mean(values.slice(-period).map((value, index) => Math.abs(value - (points[index] ?? 0))));
  const better = off(factors(known, period)) < off(plain(known, period)) ? factors : plain;
  return better(values, horizon);
}

function of(
  values: readonly number[],
  period: number,
  horizon: number,
  back: (value: number) => number,
): Prediction {
  const model = fitHoltWinters(values, period);
  return around(holtWintersPoints(model, horizon), holtWintersSpread(model, horizon), back);
}

/** Rates and connections are never below zero. */
function around(
  points: readonly number[],
  spread: readonly number[],
  back: (value: number) => number,
): Prediction {
  const at = (sign: number) =>
    points.map((point, index) => Math.max(0, back(point + sign * Z * (spread[index] ?? 0))));
  return { points: at(0), lower: at(-1), upper: at(1) };
}

const against = (error: number, scale: number): number =>
  scale > 0 ? error / scale : error > 0 ? Number.POSITIVE_INFINITY : 0;

function backTest(values: readonly number[], period: number): BackTest {
  const folds = Math.min(MAX_FOLDS, Math.floor(values.length / period) - 3);
  const errors: Record<ForecastMethod, number[]> = { 'seasonal-naive': [], 'holt-winters': [] };
  const lastError: Record<ForecastMethod, number> = { 'seasonal-naive': 0, 'holt-winters': 0 };
  for (let fold = folds; fold >= 1; fold--) {
    const cut = values.length - fold * period;
    const known = values.slice(0, cut);
    const actual = values.slice(cut, cut + period);
    const scale = mean(known.slice(period).map((value, index) => Math.abs(value - (known[index] ?? 0))));
    for (const method of ['seasonal-naive', 'holt-winters'] as const) {
      const { points } = predict(method, known, period, period);
      const error = mean(actual.map((value, index) => Math.abs(value - (points[index] ?? 0))));
      errors[method].push(against(error, scale));
      if (fold === 1) lastError[method] = against(error, mean(actual));
    }
  }
  return {
    folds,
    horizon: period,
    mase: { 'seasonal-naive': mean(errors['seasonal-naive']), 'holt-winters': mean(errors['holt-winters']) },
    lastError,
  };
}
