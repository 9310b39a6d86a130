import { isServingState } from '../../shared/serving.ts';
import { metricsColumns } from '../core/metrics-rows.ts';
import type { MetricsRow, Update } from '../core/sink.ts';
import type { Instance } from '../core/state.ts';
import { type LiveKeys, TTL_SECONDS } from './keys.ts';
import type { LiveEntry } from './live-state.ts';

/** Requests since the agent started, by instance key. */
export type RequestTotals = Map<string, { requests: number; failures: number }>;

interface LiveEntriesInput {
  keys: LiveKeys;
  update: Update;
  /** All services. A service without instances gets an empty list. */
  services: readonly string[];
  rows: ReadonlyMap<string, MetricsRow>;
  totals: RequestTotals;
}

const BATCH_INSTANCES = 100;

const seconds = (ms: number | null | undefined): number | null => (ms == null ? null : ms / 1000);

/**
 * The live state in the original's format: snake_case JSON, durations in seconds, instants in epoch seconds. Yields batches
 * of at most 300 entries.
 */
export function* liveEntries({
  keys,
  update,
  services,
  rows,
  totals,
}: LiveEntriesInput): Generator<LiveEntry[]> {
  const byService = new Map<string, [string, Instance][]>(services.map((id) => [id, []]));
  for (const entry of update.instances) {
    const list = byService.get(entry[1].service) ?? [];
    list.push(entry);
    byService.set(entry[1].service, list);
  }
  for (const [service, members] of byService) {
    const list = {
      key: keys.instances(service),
      ttlSeconds: TTL_SECONDS.instances,
      value: JSON.stringify(members.map(([key, instance]) => listItem(instance, totals.get(key)))),
    };
    yield [list];
    for (let start = 0; start < members.length; start += BATCH_INSTANCES) {
      yield members
        .slice(start, start + BATCH_INSTANCES)
        .flatMap(([key, instance]) => instanceEntries(keys, instance, update.at, rows.get(key)));
    }
  }
}

function listItem(instance: Instance, total = { requests: 0, failures: 0 }) {
  const url = new URL(instance.url);
  return {
    instance_id: instance.id,
    base_url: instance.url,
    port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    status: statusOf(instance),
    response_time: seconds(instance.latencyMs),
    weight: instance.weight,
    current_connections: instance.inflight,
    total_requests: total.requests,
    failed_requests: total.failures,
    last_check: seconds(instance.lastProbe?.at),
  };
}

/** Readers written for the original pick `healthy` instances, so the value follows the traffic state, not the probe. */
function statusOf(instance: Instance): 'healthy' | 'unhealthy' | 'unknown' {
  if (isServingState(instance.state)) return 'healthy';
  return instance.health === 'unknown' ? 'unknown' : 'unhealthy';
}

function instanceEntries(
  keys: LiveKeys,
  instance: Instance,
  at: number,
  row: MetricsRow | undefined,
): LiveEntry[] {
  const { service, id } = instance;
  const health = {
    is_healthy: instance.health === 'up',
    response_time: seconds(instance.lastProbe?.latencyMs),
    timestamp: seconds(instance.lastProbe?.at ?? at),
  };
  const breaker = { state: instance.breaker, reason: instance.reason, timestamp: at / 1000 };
  const entries = [
    { key: keys.health(service, id), ttlSeconds: TTL_SECONDS.health, value: JSON.stringify(health) },
    { key: keys.breaker(service, id), ttlSeconds: TTL_SECONDS.breaker, value: JSON.stringify(breaker) },
  ];
  if (!row) return entries;
  const metrics = JSON.stringify(metricsColumns(row));
  return [...entries, { key: keys.metrics(service, id), ttlSeconds: TTL_SECONDS.metrics, value: metrics }];
}
