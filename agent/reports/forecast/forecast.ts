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
 * Errors of both methods on held-out periods. MASE (Hyndman and Koehler 2006) is the mean absolute error, divided by the
 * error of repeating the previous period within the training data. Below 1 is better than that. Infinite when the
 * training data never changes but the forecast is wrong.
 */
export interface BackTest {
  folds: number;
  horizon: number;
  mase: Record<ForecastMethod, number>;
  /** Mean absolute error on the last held-out period, as a share of its mean. */
  lastError: Record<ForecastMethod, number>;
}

/** Standard normal deviate of a 90 % interval. */
const Z = 1.645;
const MAX_FOLDS = 4;

/** Three periods to train on, one to test on. */
export const minimumValues = (period: number): number => 4 * period;

/** `values` are at equal steps, without gaps, and at least `minimumValues(period)`. Uses the method with the lower MASE. */
export function forecast(values: readonly number[], period: number, horizon: number): Forecast {
  const tested = backTest(values, period);
  const method: ForecastMethod =
    tested.mase['holt-winters'] < tested.mase['seasonal-naive'] ? 'holt-winters' : 'seasonal-naive';
  return { method, ...predict(method, values, period, horizon), backTest: tested };
}

interface Prediction {
  points: number[];
  lower: number[];
  upper: number[];
}

function predict(
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
  return withInterval(points, spread, (value) => value);
}

/**
 * Fits the values (additive season) or their logarithms (multiplicative season: the swings grow with the level). Uses
 * the one with the lower error on the last period.
 */
function holtWinters(values: readonly number[], period: number, horizon: number): Prediction {
  const additive = (known: readonly number[], steps: number) =>
    fitted(known, period, steps, (value) => value);
  const multiplicative = (known: readonly number[], steps: number) =>
    fitted(known.map(Math.log), period, steps, Math.exp);
  if (Math.min(...values) <= 0) return additive(values, horizon);
  const known = values.slice(0, -period);
  const error = ({ points }: Prediction) =>
    mean(values.slice(-period).map((value, index) => Math.abs(value - (points[index] ?? 0))));
  const better =
    error(multiplicative(known, period)) < error(additive(known, period)) ? multiplicative : additive;
  return better(values, horizon);
}

function fitted(
  values: readonly number[],
  period: number,
  horizon: number,
  invert: (value: number) => number,
): Prediction {
  const model = fitHoltWinters(values, period);
  return withInterval(holtWintersPoints(model, horizon), holtWintersSpread(model, horizon), invert);
}

/** Adds the 90 % interval and transforms the values back. Rates and connections are never below zero. */
function withInterval(
  points: readonly number[],
  spread: readonly number[],
  invert: (value: number) => number,
): Prediction {
  const at = (sign: number) =>
    points.map((point, index) => Math.max(0, invert(point + sign * Z * (spread[index] ?? 0))));
  return { points: at(0), lower: at(-1), upper: at(1) };
}

const relative = (error: number, scale: number): number =>
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
      errors[method].push(relative(error, scale));
      if (fold === 1) lastError[method] = relative(error, mean(actual));
    }
  }
  return {
    folds,
    horizon: period,
    mase: { 'seasonal-naive': mean(errors['seasonal-naive']), 'holt-winters': mean(errors['holt-winters']) },
    lastError,
  };
}
