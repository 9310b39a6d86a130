/**
 * Damped Holt-Winters with additive season (Gardner and McKenzie 1985; Hyndman and Athanasopoulos, "Forecasting:
 * principles and practice", §8.3 and 8.6). A grid search, then coordinate descent, minimize the squared one-step error:
 * about a hundred passes over a few hundred days.
 */
export interface HoltWinters {
  alpha: number;
  beta: number;
  gamma: number;
  phi: number;
  level: number;
  trend: number;
  /** One value per step of the period, starting with that of the next value. */
  season: number[];
  /** Standard deviation of one-step errors. */
  sigma: number;
}

type Parameters = Pick<HoltWinters, 'alpha' | 'beta' | 'gamma' | 'phi'>;

const GRID: readonly Parameters[] = [0.05, 0.2, 0.5].flatMap((alpha) =>
  [0.005, 0.05, 0.2].flatMap((beta) =>
    [0.02, 0.15, 0.4].flatMap((gamma) => [0.9, 0.98, 0.995].map((phi) => ({ alpha, beta, gamma, phi }))),
  ),
);
const STEPS = [0.5, 0.25, 0.125, 0.0625];

/** `values` holds at least two periods. */
export function fitHoltWinters(values: readonly number[], period: number): HoltWinters {
  const first = run(values, period, { alpha: 0.2, beta: 0.05, gamma: 0.1, phi: 0.98 });
  const best = GRID.reduce<HoltWinters>(
    (found, parameters) => better(found, run(values, period, parameters)),
    first,
  );
  return STEPS.reduce<HoltWinters>((found, size) => descend(values, period, found, size), best);
}

/** One round of coordinate descent: varies each parameter by a factor of `1 + size`. */
function descend(values: readonly number[], period: number, from: HoltWinters, size: number): HoltWinters {
  let best = from;
  for (const name of ['alpha', 'beta', 'gamma', 'phi'] as const) {
    for (const factor of [1 + size, 1 / (1 + size)]) {
      const { alpha, beta, gamma, phi } = best;
      const tried: Parameters = { alpha, beta, gamma, phi };
      // phi is close to one, so its distance from one is scaled.
      tried[name] = name === 'phi' ? 1 - (1 - phi) * factor : tried[name] * factor;
      if (isStable(tried)) best = better(best, run(values, period, tried));
    }
  }
  return best;
}

const isStable = ({ alpha, beta, gamma, phi }: Parameters): boolean =>
  Math.max(alpha, beta, gamma) < 1 && phi >= 0.8 && phi <= 0.998;

const better = (a: HoltWinters, b: HoltWinters): HoltWinters => (b.sigma < a.sigma ? b : a);

function run(values: readonly number[], period: number, parameters: Parameters): HoltWinters {
  const { alpha, beta, gamma, phi } = parameters;
  let { level, trend, season } = initialModel(values, period);
  let squares = 0;
  for (const [index, value] of values.entries()) {
    const seasonal = season[index % period] ?? 0;
    const error = value - (level + phi * trend + seasonal);
    // Error-correction form: the same error corrects level, trend and season.
    level += phi * trend + alpha * error;
    trend = phi * trend + alpha * beta * error;
    season[index % period] = seasonal + gamma * error;
    squares += error * error;
  }
  const offset = values.length % period;
  season = [...season.slice(offset), ...season.slice(0, offset)];
  return { ...parameters, level, trend, season, sigma: Math.sqrt(squares / values.length) };
}

/** Level and trend from the means of the first two periods; season from all full periods, less their trend. */
function initialModel(
  values: readonly number[],
  period: number,
): { level: number; trend: number; season: number[] } {
  const periods = Math.floor(values.length / period);
  const means = Array.from({ length: periods }, (_, index) =>
    mean(values.slice(index * period, (index + 1) * period)),
  );
  const trend = ((means[1] ?? 0) - (means[0] ?? 0)) / period;
  const season = Array.from({ length: period }, (_, position) =>
    mean(
      means.map(
        (own, index) =>
          (values[index * period + position] ?? 0) - own - trend * (position - (period - 1) / 2),
      ),
    ),
  );
  return { level: (means[0] ?? 0) - (trend * (period + 1)) / 2, trend, season };
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);

/** Point forecasts for the next `horizon` values. */
export function holtWintersPoints(model: HoltWinters, horizon: number): number[] {
  const { level, trend, season, phi } = model;
  let damping = 0;
  return Array.from({ length: horizon }, (_, index) => {
    damping += phi ** (index + 1);
    return level + damping * trend + (season[index % season.length] ?? 0);
  });
}

/** Standard deviation of the forecast error at each step (Hyndman et al. 2008, class 1, table 6.1). */
export function holtWintersSpread(model: HoltWinters, horizon: number): number[] {
  const { alpha, beta, gamma, phi, season, sigma } = model;
  let sum = 1;
  let damping = 0;
  return Array.from({ length: horizon }, (_, index) => {
    const spread = sigma * Math.sqrt(sum);
    damping += phi ** (index + 1);
    const c = alpha + alpha * beta * damping + ((index + 1) % season.length === 0 ? gamma : 0);
    sum += c * c;
    return spread;
  });
}
