import type { SeriesSource } from './range.ts';

/** What a series is about: the site, a service, or an instance. */
export type SubjectKind = 'site' | 'service' | 'instance';

const NO_SAMPLES = `NULL::integer AS samples, NULL::integer AS up_samples, NULL::double precision AS concurrency_sum,
  NULL::double precision AS queued_max, NULL::integer AS breaker_samples, NULL::integer AS outlier_samples,
  NULL::integer AS probes, NULL::integer AS probes_failed, NULL::double precision AS probe_ms_sum`;
const STATUSES = 'status_2xx, status_3xx, status_4xx, status_5xx';

const requestMinutes = (latency: string): string => `
  SELECT timestamp AS at, requests, failed, attempts, retries, hedges, limited, ${STATUSES}, ${NO_SAMPLES}, ${latency} AS latency
  FROM request_minutes`;

/** Of an instance its attempts; of a service and the site samples. */
const LATENCY_MINUTES = `
  SELECT timestamp AS at, attempts AS requests, failures AS failed, attempts, NULL::integer AS retries,
         NULL::integer AS hedges, NULL::integer AS limited, ${STATUSES}, samples, up_samples, concurrency_sum, queued_max,
         breaker_samples, outlier_samples, probes, probes_failed, probe_ms_sum, latency
  FROM latency_minutes`;

/** In hours of agents that recorded no requests, a service has the attempts of its instances. */
const ROLLUP_COUNTS = `start AS at, coalesce(client_requests, requests) AS requests,
  coalesce(client_failed, failures) AS failed, requests AS attempts, retries, hedges, limited, ${STATUSES}`;
const ROLLUP_SAMPLES = `nullif(samples, 0) AS samples, up_samples, concurrency_sum, queued_max, breaker_samples, outlier_samples,
  probes, probes_failed, probe_ms_sum, CASE WHEN client_requests IS NULL THEN coalesce(latency, means) ELSE client_latency END AS latency`;

const ROLLUP_TABLES = { hours: 'metrics_hourly', days: 'metrics_daily' } as const;

/** Parameters of every statement: from, to, step in epoch seconds, service, instance, site. */
const OF_SITE = "site = $6::text AND $4::text = '' AND $5::text = ''";
const OF_SERVICE = "site = $6::text AND service_type = $4::text AND $5::text = ''";
/** Also the whole service, with instance '', and the site, with both ''. */
const OF_INSTANCE = 'site = $6::text AND service_type = $4::text AND instance_id = $5::text';

/** The site has the counts of its services, and samples and latencies of its own. */
function rowsOf(source: SeriesSource, kind: SubjectKind): string {
  if (source === 'minutes') return minutesOf(kind);
  const table = ROLLUP_TABLES[source];
  const time = 'start >= $1::bigint AND start < $2::bigint';
  const own = `SELECT ${ROLLUP_COUNTS}, ${ROLLUP_SAMPLES} FROM ${table} WHERE ${time} AND ${OF_INSTANCE}`;
  if (kind !== 'site') return own;
  return `${own} UNION ALL
    SELECT ${ROLLUP_COUNTS}, ${NO_SAMPLES}, NULL::jsonb AS latency
    FROM ${table} WHERE ${time} AND site = $6::text AND service_type <> '' AND instance_id = ''`;
}

function minutesOf(kind: SubjectKind): string {
  const time = 'timestamp >= $1::double precision AND timestamp < $2::double precision';
  const samples = `${LATENCY_MINUTES} WHERE ${time} AND ${OF_INSTANCE}`;
  switch (kind) {
    case 'instance':
      return samples;
    case 'service':
      return `${requestMinutes('latency')} WHERE ${time} AND ${OF_SERVICE} UNION ALL ${samples}`;
    case 'site':
      return `${requestMinutes('NULL::jsonb')} WHERE ${time} AND ${OF_SITE} UNION ALL ${samples}`;
  }
}

const slotOf = (column: string): string => `floor((${column} - $1::bigint) / $3::integer)::integer`;

const SUMS = [
  ...[
    'requests',
    'failed',
    'attempts',
    'retries',
    'hedges',
    'limited',
    'status_2xx',
    'status_3xx',
    'status_4xx',
  ],
  ...['status_5xx', 'samples', 'up_samples', 'breaker_samples', 'outlier_samples', 'probes', 'probes_failed'],
  ...['probe_ms_sum', 'concurrency_sum'],
] as const;

/** The sums of each step, and its merged sketch. */
export const sumsPerStep = (source: SeriesSource, kind: SubjectKind): string => `
  SELECT ${slotOf('at')} AS slot, ${SUMS.map((column) => `sum(${column})::double precision AS ${column}`).join(', ')},
         max(queued_max) AS queued_max,
         sum(samples) FILTER (WHERE concurrency_sum IS NOT NULL)::double precision AS concurrency_samples,
         acgs_merge_sketches(array_agg(latency)) AS latency
  FROM (${rowsOf(source, kind)}) AS own GROUP BY 1`;

/** Attempts of the service in each step, and the medians over the other instances. slot −1: the whole range. */
export function peersPerStep(source: SeriesSource): string {
  const minutes = source === 'minutes';
  const table = minutes ? 'latency_minutes' : ROLLUP_TABLES[source];
  const at = minutes ? 'timestamp' : 'start';
  const [attempts, failures] = minutes ? ['attempts', 'failures'] : ['requests', 'failures'];
  const median = (column: string): string =>
    `percentile_cont(0.5) WITHIN GROUP (ORDER BY ${column}) FILTER (WHERE instance_id <> $5::text)`;
  return `
  WITH rows AS (
    SELECT ${slotOf(at)} AS slot, instance_id, ${attempts} AS attempts, ${failures} AS failures, p50_ms, p95_ms,
           greatest(${attempts}, 1) AS weight
    FROM ${table} WHERE ${at} >= $1::bigint AND ${at} < $2::bigint AND site = $6::text AND service_type = $4::text AND instance_id <> ''
  ),
  members AS (
    SELECT coalesce(slot, -1) AS slot, instance_id, sum(attempts) AS attempts,
           sum(p50_ms * weight) / nullif(sum(weight) FILTER (WHERE p50_ms IS NOT NULL), 0) AS p50,
           sum(p95_ms * weight) / nullif(sum(weight) FILTER (WHERE p95_ms IS NOT NULL), 0) AS p95,
           100.0 * sum(failures) / nullif(sum(attempts), 0) AS error_percent
    FROM rows GROUP BY GROUPING SETS ((slot, instance_id), (instance_id))
  )
  SELECT slot, sum(attempts)::double precision AS attempts, count(*) FILTER (WHERE instance_id <> $5::text) AS peers,
         ${median('p50')} AS p50, ${median('p95')} AS p95, ${median('error_percent::double precision')} AS error_percent
  FROM members GROUP BY slot`;
}

/** Governance sessions by the steps of their first and last activity. */
export const sessionsByStep = (kind: SubjectKind): string => {
  const pinned = {
    site: OF_SITE,
    service: "site = $6::text AND pins ? $4::text AND $5::text = ''",
    instance: 'site = $6::text AND pins->>$4::text = $5::text',
  }[kind];
  return `
  SELECT ${slotOf('greatest(created_at, $1::bigint)')} AS first, ${slotOf('last_activity')} AS last, count(*) AS sessions
  FROM governance_sessions WHERE last_activity >= $1::bigint AND created_at < $2::bigint AND ${pinned} GROUP BY 1, 2`;
};
