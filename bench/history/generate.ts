/** Synthetic history with a daily and a weekly pattern, a trend, noise, and a slow period of gs every week. */

interface GeneratedInstance {
  service: string;
  instance: string;
  /** Average requests per second. */
  rate: number;
  /** Typical response time, seconds. */
  seconds: number;
}

interface GenerateOptions {
  /** Epoch seconds. */
  from: number;
  to: number;
  step: number;
  instances: readonly GeneratedInstance[];
  random: () => number;
  /** Growth of the rate over 30 days; 0.1 is 10 %. */
  growth?: number;
}

const BASE = {
  auth: [18, 0.02],
  ac: [6, 0.06],
  integrity: [9, 0.04],
  fv: [2, 0.22],
  gs: [5, 0.18],
  pgc: [7, 0.09],
  ec: [3, 0.14],
};

export const SERVICES = Object.keys(BASE);

export const fourteenInstances: GeneratedInstance[] = Object.entries(BASE).flatMap(
  ([service, [rate = 1, seconds = 0.1]]) =>
    [1, 2].map((number) => ({
      service,
      instance: `${service}-${number}`,
      rate,
      seconds: seconds * (1 + 0.15 * (number - 1)),
    })),
);

const DAY = 86_400;

/** Relative rate, 1 on average: minimum at 04:00, maximum at 16:00 UTC, lower at weekends. */
export function rhythm(at: number): number {
  const day = (at % DAY) / DAY;
  const weekday = new Date(at * 1000).getUTCDay();
  const weekly = weekday === 0 || weekday === 6 ? 0.5 : 1.2;
  return weekly * (1 + 0.6 * Math.sin(2 * Math.PI * (day - 10 / 24)));
}

/** A seeded generator (mulberry32), so that runs are reproducible. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Lines for COPY load_balancing_metrics (COPY_COLUMNS), tab-separated. */
export function* copyLines({
  from,
  to,
  step,
  instances,
  random,
  growth = 0.1,
}: GenerateOptions): Generator<string> {
  for (let at = from; at < to; at += step) {
    const level = rhythm(at) * (1 + (growth * (at - from)) / (30 * DAY));
    for (const { service, instance, rate, seconds } of instances) {
      const requests = Math.max(0, Math.round(rate * level * step * (1 + 0.15 * normal(random))));
      const slow =
        service === 'gs' && (at % (7 * DAY)) - 5 * DAY > 0 && (at % (7 * DAY)) - 5 * DAY < 10_800 ? 4 : 1;
      const took = seconds * slow * (1 + 0.1 * level) * Math.exp(0.45 * normal(random));
      const failures = random() < 0.01 * slow ? Math.round(requests * 0.05 * slow * random()) : 0;
      const busy = Math.round((requests / step) * took + random());
      yield `${service}\t${instance}\t${at}\t${took.toFixed(6)}\t${requests - failures}\t${failures}\t${busy}\t${requests}\t${(20 + 15 * level).toFixed(1)}\t48.0\n`;
    }
  }
}

export const COPY_COLUMNS =
  'service_type, instance_id, timestamp, response_time, success_count, failure_count, current_connections, total_requests, cpu_usage, memory_usage';
