import type { Rollup } from '../history/rollups/rollup.ts';
import { DAY_SECONDS } from '../history/rollups/run.ts';
import { type BackTest, type ForecastMethod, forecast, minimumValues } from './forecast/forecast.ts';

/** The data of `acgs-lb capacity`. Times are epoch seconds, rates requests per second. */
export interface Capacity {
  site: string;
  /** Start of the reviewed month, and its end or now. */
  from: number;
  to: number;
  forecastTo: number;
  services: ServiceCapacity[];
}

export type ServiceCapacity = { service: string; instances: number; maxconn: number; capacity: number } & (
  | { refused: string }
  | {
      refused?: undefined;
      review: {
        peakRate: number;
        peakConcurrency: number;
        littleConcurrency: number;
        meanResponseMs: number;
        days: number;
      };
      rate: CapacityForecast;
      concurrency: CapacityForecast;
      /** First day on which the expected (or upper) peak of concurrency exceeds capacity; null if none. */
      exhaustion: { expected: number | null; upper: number | null };
      /** Instances to add, so that the upper bound stays within `MAX_UTILIZATION` of capacity. */
      instancesToAdd: number;
      /** Days of history, and how many of them were interpolated. */
      history: { days: number; filled: number };
    }
);

export interface CapacityForecast {
  /** `from-rate`: forecast rate × response time (Little's law). */
  method: ForecastMethod | 'from-rate';
  backTest: BackTest;
  /** Highest day of each month, the rest of the reviewed one included: expected value and 90 % interval. */
  months: { start: number; peak: number; lower: number; upper: number }[];
  days: { start: number; value: number; lower: number; upper: number }[];
}

/** Share of capacity that a forecast may use: queues grow without bound towards 100 %. */
export const MAX_UTILIZATION = 0.8;
const WEEK = 7;
/** With more missing days than this, a forecast would rest on interpolated values. */
const MAX_FILLED = 0.25;

export interface CapacityInput {
  site: string;
  /** 1–12. */
  month: number;
  now: number;
  /** Hours of services (instance ''), oldest first, as far back as they go. */
  hours: readonly Rollup[];
  services: readonly { service: string; instances: number; maxconn: number }[];
  /** Called before each service: a forecast takes a good part of a second. */
  onService?: (done: number, total: number) => void;
}

/** The latest month of this number that has started, and the end of the three months after it. */
export function reviewedMonth(month: number, now: number): { from: number; to: number; forecastTo: number } {
  const today = new Date(now * 1000);
  const year = today.getUTCFullYear() - (month > today.getUTCMonth() + 1 ? 1 : 0);
  const first = (offset: number) => Date.UTC(year, month - 1 + offset, 1) / 1000;
  return { from: first(0), to: Math.min(first(1), now), forecastTo: first(4) };
}

export function reviewCapacity(input: CapacityInput): Capacity {
  const { month, now, hours, services, onService } = input;
  const period = reviewedMonth(month, now);
  return {
    site: input.site,
    ...period,
    services: services.map((own, index) => {
      onService?.(index, services.length);
      const mine = hours.filter(({ service }) => service === own.service);
      return { ...own, capacity: own.instances * own.maxconn, ...reviewService(mine, own, period) };
    }),
  };
}

function reviewService(
  hours: readonly Rollup[],
  { instances, maxconn }: { instances: number; maxconn: number },
  { from, to, forecastTo }: { from: number; to: number; forecastTo: number },
) {
  // Whole days only: the peak of a partial day may be missing.
  const end = Math.floor(to / DAY_SECONDS) * DAY_SECONDS;
  const begins = Math.ceil((hours.find(({ rows }) => rows > 0)?.start ?? 0) / DAY_SECONDS) * DAY_SECONDS;
  const known = dailyPeaks(hours.filter(({ start }) => start >= begins && start < end));
  const first = known.keys().next().value;
  const since = first === undefined ? 'none at all' : `since ${iso(first)}`;
  const days = first === undefined ? 0 : (end - first) / DAY_SECONDS;
  if (first === undefined || days < minimumValues(WEEK)) {
    const when =
      first === undefined ? '' : `; try again after ${iso(first + minimumValues(WEEK) * DAY_SECONDS)}`;
    return {
      refused: `history is too short: ${days} full days before ${iso(end)} (${since}); a forecast needs ${minimumValues(WEEK)}, three weeks to train on and one to test on${when}`,
    };
  }
  const filled = days - known.size;
  if (filled > days * MAX_FILLED) {
    return {
      refused: `history has too many gaps: ${filled} of ${days} days ${since} are missing; at most a quarter may be missing`,
    };
  }
  const horizon = Math.round((forecastTo - end) / DAY_SECONDS);
  const outlook = (read: (peak: DayPeak) => number): CapacityForecast => {
    const { points, lower, upper, method, backTest } = forecast(
      fill(known, first, days, read),
      WEEK,
      horizon,
    );
    const daily = points.map((value, index) => ({
      start: end + index * DAY_SECONDS,
      value,
      lower: lower[index] ?? 0,
      upper: upper[index] ?? 0,
    }));
    return { method, backTest, months: byMonth(daily), days: daily };
  };
  const rate = outlook((peak) => peak.rate);
  const concurrency = fromRate(
    outlook((peak) => peak.concurrency),
    rate,
    known,
  );
  const capacity = instances * maxconn;
  const passes = (read: (day: CapacityForecast['days'][number]) => number) =>
    concurrency.days.find((day) => read(day) > capacity)?.start ?? null;
  const highest = Math.max(...concurrency.days.map(({ upper }) => upper));
  const inMonth = [...known].filter(([start]) => start >= from && start < to).map(([, peak]) => peak);
  return {
    review: {
      days: inMonth.length,
      peakRate: Math.max(0, ...inMonth.map(({ rate }) => rate)),
      peakConcurrency: Math.max(0, ...inMonth.map(({ measured }) => measured)),
      littleConcurrency: Math.max(0, ...inMonth.map(({ little }) => little)),
      meanResponseMs: meanResponse(hours.filter(({ start }) => start >= from && start < to)) * 1000,
    },
    rate,
    concurrency,
    exhaustion: { expected: passes(({ value }) => value), upper: passes(({ upper }) => upper) },
    instancesToAdd: Math.max(0, Math.ceil(highest / (maxconn * MAX_UTILIZATION)) - instances),
    history: { days, filled },
  };
}

/**
 * Concurrency is a small integer whose steps can hide a trend. When its best forecast repeats last week but the rate has
 * a trend, concurrency follows the rate: L = λ·W, where W is the median of the last four weeks.
 */
function fromRate(
  own: CapacityForecast,
  rate: CapacityForecast,
  known: ReadonlyMap<number, DayPeak>,
): CapacityForecast {
  if (own.method !== 'seasonal-naive' || rate.method === 'seasonal-naive') return own;
  const ratios = [...known.values()]
    .slice(-4 * WEEK)
    .filter((peak) => peak.rate > 0)
    .map((peak) => peak.concurrency / peak.rate)
    .sort((a, b) => a - b);
  const seconds = ratios[Math.floor(ratios.length / 2)] ?? 0;
  const days = rate.days.map(({ start, value, lower, upper }) => ({
    start,
    value: value * seconds,
    lower: lower * seconds,
    upper: upper * seconds,
  }));
  return { method: 'from-rate', backTest: own.backTest, months: byMonth(days), days };
}

interface DayPeak {
  rate: number;
  measured: number;
  little: number;
  /** The higher of both: a gauge read every ten seconds misses short peaks, Little's law misses queues. */
  concurrency: number;
}

/** Peaks by day. Little's law for each hour: concurrency = peak rate × mean response time. */
function dailyPeaks(hours: readonly Rollup[]): Map<number, DayPeak> {
  const days = new Map<number, DayPeak>();
  for (const hour of hours) {
    if (hour.rows === 0) continue;
    const start = Math.floor(hour.start / DAY_SECONDS) * DAY_SECONDS;
    const day = days.get(start) ?? { rate: 0, measured: 0, little: 0, concurrency: 0 };
    day.rate = Math.max(day.rate, hour.peakRate);
    day.measured = Math.max(day.measured, hour.peakConcurrency);
    day.little = Math.max(day.little, hour.peakRate * meanResponse([hour]));
    day.concurrency = Math.max(day.measured, day.little);
    days.set(start, day);
  }
  return new Map([...days].sort(([a], [b]) => a - b));
}

/** Mean response time in seconds, weighted by requests. */
function meanResponse(hours: readonly Rollup[]): number {
  const requests = hours.reduce((sum, hour) => sum + hour.requests, 0);
  return requests > 0 ? hours.reduce((sum, hour) => sum + hour.responseTimeSum, 0) / requests : 0;
}

/** A missing day gets the mean of the same weekday before and after it. */
function fill(
  known: ReadonlyMap<number, DayPeak>,
  first: number,
  days: number,
  read: (peak: DayPeak) => number,
): number[] {
  const at = (index: number): number | null => {
    const peak = known.get(first + index * DAY_SECONDS);
    return peak ? read(peak) : null;
  };
  return Array.from({ length: days }, (_, index) => {
    for (let weeks = 0; weeks * WEEK < days; weeks++) {
      const near = [at(index - weeks * WEEK), at(index + weeks * WEEK)].filter((value) => value !== null);
      if (near.length > 0) return near.reduce((sum, value) => sum + value, 0) / near.length;
    }
    return 0;
  });
}

function byMonth(days: CapacityForecast['days']): CapacityForecast['months'] {
  const months = Map.groupBy(days, ({ start }) => {
    const date = new Date(start * 1000);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 1000;
  });
  return [...months].map(([start, own]) => ({
    start,
    peak: Math.max(...own.map(({ value }) => value)),
    lower: Math.max(...own.map(({ lower }) => lower)),
    upper: Math.max(...own.map(({ upper }) => upper)),
  }));
}

const iso = (at: number): string => new Date(at * 1000).toISOString().slice(0, 10);
