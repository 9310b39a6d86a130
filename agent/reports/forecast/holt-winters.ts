/**
 * Damped Holt-Winters with additive season (Gardner and McKenzie 1985; Hyndman and Athanasopoulos, "Forecasting:
 * principles and practice", §8.3 and 8.6). Parameters are those of least squared one-step error, found by a grid and
 * then by coordinate descent: a few hundred passes over a few hundred days.
 */
export interface HoltWinters {
  alpha: number;
  beta: number;
  gamma: number;
  phi: number;
  level: number;
  trend: number;
  /** Of the last full period, oldest first: the next value's season is the first. */
  season: number[];
  /** Standard deviation of one-step errors. */
  sigma: number;
}

interface Parameters {
  alpha: number;
  beta: number;
  gamma: number;
  phi: number;
}

/** `values` holds at least two periods. */
export function fitHoltWinters(values: readonly number[], period: number): HoltWinters {
  let best = run(values, period, { alpha: 0.2, beta: 0.05, gamma: 0.1, phi: 0.98 });
  for (const alpha of [0.05, 0.2, 0.5]) {
    for (const beta of [0.005, 0.05, 0.2]) {
      for (const gamma of [0.02, 0.15, 0.4]) {
        for (const phi of [0.9, 0.98, 0.995])
          best = better(best, run(values, period, { alpha, beta, gamma, phi }));
      }
    }
  }
  for (let step = 0.5; step > 0.05; step /= 2) {
    for (const name of ['alpha', 'beta', 'gamma', 'phi'] as const) {
      for (const factor of [1 + step, 1 / (1 + step)]) {
        const { alpha, beta, gamma, phi } = best;
        const tried: Parameters = { alpha, beta, gamma, phi };
        // phi lives close below one: its distance from one is what is scaled.
        tried[name] = name === 'phi' ? 1 - (1 - phi) * factor : tried[name] * factor;
        if (tried.alpha >= 1 || tried.beta >= 1 || tried.gamma >= 1) continue;
        if (tried.phi < 0.8 || tried.phi > 0.998) continue;
        best = better(best, run(values, period, tried));
      }
    }
  }
  return best;
}

const better = (a: HoltWinters, b: HoltWinters): HoltWinters => (b.sigma < a.sigma ? b : a);

function run(values: readonly number[], period: number, parameters: Parameters): HoltWinters {
  const { alpha, beta, gamma, phi } = parameters;
  let { level, trend, season } = start(values, period);
  let squares = 0;
  for (const [index, value] of values.entries()) {
    const seasonal = season[index % period] ?? 0;
    const error = value - (level + phi * trend + seasonal);
    // Error-correction form: one error moves level, trend and season alike.
    level += phi * trend + alpha * error;
    trend = phi * trend + alpha * beta * error;
    season[index % period] = seasonal + gamma * error;
    squares += error * error;
  }
  const turn = values.length % period;
  season = [...season.slice(turn), ...season.slice(0, turn)];
  return { ...parameters, level, trend, season, sigma: Math.sqrt(squares / values.length) };
}

/** Level and trend from the means of the first two periods; season from all full periods, each less its own mean. */
function start(
  values: readonly number[],
  period: number,
): { level: number; trend: number; season: number[] } {
  const periods = Math.floor(values.length / period);
  const means = Array.from({ length: periods }, (_, index) =>
    mean(values.slice(index * period, (index + 1) * period)),
  );
  const trend = ((means[1] ?? 0) - (means[0] ?? 0)) / period;
  const season = Array.from({ length: period }, (_, place) =>
    mean(
      means.map(
        (own, index) => (values[index * period + place] ?? 0) - own - trend * (place - (period - 1) / 2),
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

/** Standard deviation of the forecast error, step by step (Hyndman et al. 2008, class 1, table 6.1). */
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
