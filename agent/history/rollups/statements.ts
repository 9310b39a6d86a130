/**
 * The roll-ups in SQL: the rows of an hour, 60,000 of a thousand instances, stay in the database. Bucket indexes are those
 * of shared/sketch.ts: ceil(ln(ms) / ln γ). ln γ and the smallest value are parameters.
 */

/**
 * The seconds that a row of load_balancing_metrics covers: its distance to the nearer row of the same instance in the window
 * `w`, in whole tens of seconds, because `postgres.rowInterval` may have changed.
 */
export const spanOf = (fewest: string): string =>
  `least(greatest(round(least(timestamp - lag(timestamp) OVER w, lead(timestamp) OVER w - timestamp) / 10) * 10,
         ${fewest}::double precision), 300)`;

/**
 * Rolls up the rows of load_balancing_metrics of the hour at $1 (epoch seconds). $2: ln γ, $3: smallest value in ms, $4:
 * the fewest seconds that one row covers, $5: site.
 *
 * Rows adopted from the guide's original hold running totals every 30 s. Such a row counts the difference to the row
 * before, or its whole total when the total fell (the process restarted). The first row counts nothing, because its period
 * is unknown.
 *
 * Any program may write rows, so invalid values are ignored: a response time that is NaN, infinite, negative or above a day
 * counts as not measured, a negative count as 0, and a row without an instance id is skipped ('' is the whole service).
 */
export const COUNT_HOUR = `
  WITH adopted AS (SELECT coalesce(max(last_id), 0) AS last_id FROM adopted_tables WHERE site = $5::text AND name = 'load_balancing_metrics'),
  stepped AS (
    SELECT service_type, instance_id, timestamp, response_time, current_connections, cpu_usage, memory_usage,
           timestamp - lag(timestamp) OVER w AS gap,
           total_requests AS total, lag(total_requests) OVER w AS total_before,
           failure_count AS failed, lag(failure_count) OVER w AS failed_before
    FROM load_balancing_metrics
    WHERE (SELECT last_id FROM adopted) > 0 AND id <= (SELECT last_id FROM adopted)
      AND timestamp >= $1::double precision - 86400 AND timestamp < $1::double precision + 3600 AND site = $5::text
      AND instance_id <> ''
    WINDOW w AS (PARTITION BY service_type, instance_id ORDER BY timestamp, id)
  ),
  counts AS (
    SELECT service_type, instance_id, timestamp, response_time, current_connections AS connections, cpu_usage AS cpu,
           memory_usage AS memory, greatest(total_requests, success_count::bigint + failure_count, 0) AS requests,
           greatest(failure_count, 0)::bigint AS failures, ${spanOf('$4')} AS span,
           greatest(total_requests, success_count::bigint + failure_count) AS weight
    FROM load_balancing_metrics
    WHERE timestamp >= $1::double precision AND timestamp < $1::double precision + 3600 AND site = $5::text
      AND instance_id <> '' AND id > (SELECT last_id FROM adopted)
    WINDOW w AS (PARTITION BY service_type, instance_id ORDER BY timestamp)
    UNION ALL
    SELECT service_type, instance_id, timestamp, response_time, current_connections, cpu_usage, memory_usage,
           coalesce(CASE WHEN total >= total_before THEN total - total_before
                         WHEN total_before IS NOT NULL THEN total END, 0),
           coalesce(CASE WHEN total < total_before OR failed < failed_before THEN failed
                         ELSE failed - failed_before END, 0),
           least(greatest(coalesce(gap, 30), 10), 300), 1
    FROM stepped WHERE timestamp >= $1::double precision
  ),
  raw AS (
    SELECT service_type, instance_id, timestamp, connections, requests, failures, span, weight,
           CASE WHEN response_time >= 0 AND response_time < 86400 THEN response_time END AS response_time,
           CASE WHEN cpu < 'infinity' THEN cpu END AS cpu, CASE WHEN memory < 'infinity' THEN memory END AS memory
    FROM counts
  ),
  grouped AS (
    SELECT service_type, coalesce(instance_id, '') AS instance_id, count(*) AS rows, sum(requests) AS requests,
           sum(failures) AS failures, coalesce(sum(response_time * requests), 0) AS response_time_sum,
           max(requests / span) AS peak_rate, max(connections) AS peak_concurrency,
           avg(cpu) AS cpu_mean, max(cpu) AS cpu_max, avg(memory) AS memory_mean, max(memory) AS memory_max
    FROM raw GROUP BY GROUPING SETS ((service_type, instance_id), (service_type))
  ),
  spans AS (
    SELECT service_type, max(rate) AS peak_rate, max(connections) AS peak_concurrency
    FROM (
      SELECT service_type, floor(timestamp / span), sum(requests / span) AS rate, sum(connections) AS connections
      FROM raw GROUP BY service_type, floor(timestamp / span)
    ) AS sums GROUP BY service_type
  ),
  parts AS (
    SELECT service_type, coalesce(instance_id, '') AS instance_id,
           acgs_make_sketch(sum(times), sum(total), max(top),
                            string_agg(CASE times WHEN 1 THEN bucket::text ELSE bucket || ':' || times END, ' ' ORDER BY bucket)) AS sketch
    FROM (
      SELECT service_type, instance_id, bucket, sum(weight) AS times, sum(ms * weight) AS total, max(ms) AS top
      FROM (
        SELECT service_type, instance_id, weight, response_time * 1000 AS ms,
               ceil(ln(greatest(response_time * 1000, $3::double precision)) / $2::double precision)::integer AS bucket
        FROM raw WHERE weight > 0 AND response_time IS NOT NULL
      ) AS placed GROUP BY GROUPING SETS ((service_type, instance_id, bucket), (service_type, bucket))
    ) AS counted GROUP BY service_type, coalesce(instance_id, '')
  )
  INSERT INTO metrics_hourly AS m
    (site, start, service_type, instance_id, rows, requests, failures, response_time_sum, peak_rate, peak_concurrency,
     cpu_mean, cpu_max, memory_mean, memory_max, means)
  SELECT $5::text, $1::bigint, g.service_type, g.instance_id, g.rows, g.requests, g.failures, g.response_time_sum,
         CASE WHEN g.instance_id = '' THEN s.peak_rate ELSE g.peak_rate END,
         CASE WHEN g.instance_id = '' THEN s.peak_concurrency ELSE g.peak_concurrency END,
         g.cpu_mean, g.cpu_max, g.memory_mean, g.memory_max, p.sketch
  FROM grouped g JOIN spans s USING (service_type) LEFT JOIN parts p USING (service_type, instance_id)
  ON CONFLICT (site, start, service_type, instance_id) DO UPDATE SET
    rows = excluded.rows, requests = excluded.requests, failures = excluded.failures,
    response_time_sum = excluded.response_time_sum, peak_rate = excluded.peak_rate,
    peak_concurrency = excluded.peak_concurrency, cpu_mean = excluded.cpu_mean, cpu_max = excluded.cpu_max,
    memory_mean = excluded.memory_mean, memory_max = excluded.memory_max, means = excluded.means`;

const STATUSES = ['status_2xx', 'status_3xx', 'status_4xx', 'status_5xx'] as const;
const PROBES = [
  'concurrency_sum',
  'breaker_samples',
  'outlier_samples',
  'probes',
  'probes_failed',
  'probe_ms_sum',
];
const sums = (columns: readonly string[]): string =>
  columns.map((column) => `sum(${column}) AS ${column}`).join(', ');
const excluded = (columns: readonly string[]): string =>
  columns.map((column) => `${column} = excluded.${column}`).join(', ');
/** Null plus a number is the number. */
const added = (columns: readonly string[]): string =>
  columns
    .map(
      (column) => `${column} = coalesce(m.${column} + excluded.${column}, excluded.${column}, m.${column})`,
    )
    .join(', ');

const OF_INSTANCE = [...STATUSES, ...PROBES];
const SKETCHES = ['latency', 'means', 'client_latency'] as const;
const DAY_COLUMNS = [
  ...['rows', 'requests', 'failures', 'response_time_sum', 'peak_rate', 'peak_concurrency'],
  ...['cpu_mean', 'cpu_max', 'memory_mean', 'memory_max', 'samples', 'up_samples', 'queued_max'],
  ...['client_requests', 'client_failed', 'retries', 'hedges', 'limited'],
  ...OF_INSTANCE,
  ...SKETCHES,
];

/**
 * Adds the new rows of latency_minutes of the hour at $1 to its roll-up. The mark `folded` prevents counting a row twice.
 * $2: ln γ, $3: site.
 */
export const FOLD_MINUTES = `
  WITH minutes AS (
    UPDATE latency_minutes SET folded = true
    WHERE site = $3::text AND NOT folded AND timestamp >= $1::double precision AND timestamp < $1::double precision + 3600
    RETURNING service_type, instance_id, samples, up_samples, queued_max, latency, ${OF_INSTANCE.join(', ')}
  ),
  gathered AS (
    SELECT service_type, instance_id, sum(samples) AS samples, sum(up_samples) AS up_samples,
           max(queued_max) AS queued_max, array_agg(latency) AS latencies, ${sums(OF_INSTANCE)}
    FROM minutes GROUP BY 1, 2
  ),
  merged AS MATERIALIZED (
    -- A subquery, because a join without current statistics may compare all with all.
    SELECT g.*, acgs_merge_sketches(latencies || (
      SELECT latency FROM metrics_hourly h
      WHERE h.site = $3::text AND h.start = $1::bigint AND h.service_type = g.service_type AND h.instance_id = g.instance_id
    )) AS sketch
    FROM gathered g
  )
  INSERT INTO metrics_hourly AS m
    (site, start, service_type, instance_id, samples, up_samples, queued_max, latency, p50_ms, p95_ms, ${OF_INSTANCE.join(', ')})
  SELECT $3::text, $1::bigint, service_type, instance_id, samples, up_samples, queued_max, sketch,
         acgs_sketch_quantile(sketch, 0.5, $2::double precision), acgs_sketch_quantile(sketch, 0.95, $2::double precision),
         ${OF_INSTANCE.join(', ')}
  FROM merged
  ON CONFLICT (site, start, service_type, instance_id) DO UPDATE SET
    samples = m.samples + excluded.samples, up_samples = m.up_samples + excluded.up_samples,
    queued_max = greatest(m.queued_max, excluded.queued_max), latency = excluded.latency,
    p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms, ${added(OF_INSTANCE)}`;

/**
 * Rolls up the requests of the hour at $1 of the site $2. A service that the agent sampled in that hour, but that has no
 * row, had no requests. Without either its requests are unknown, as in hours of older agents.
 */
export const COUNT_REQUESTS = `
  WITH own AS (
    SELECT service_type, '' AS instance_id, requests, failed, retries, hedges, limited, latency, ${STATUSES.join(', ')}
    FROM request_minutes
    WHERE site = $2::text AND timestamp >= $1::double precision AND timestamp < $1::double precision + 3600
    UNION ALL
    SELECT DISTINCT service_type, '', 0, 0, 0, 0, 0, NULL::jsonb, 0, 0, 0, 0
    FROM latency_minutes
    WHERE site = $2::text AND timestamp >= $1::double precision AND timestamp < $1::double precision + 3600
      AND service_type <> '' AND instance_id = '' AND attempts IS NOT NULL
  ),
  summed AS (
    SELECT service_type, instance_id, sum(requests) AS requests, sum(failed) AS failed, sum(retries) AS retries,
           sum(hedges) AS hedges, sum(limited) AS limited, acgs_merge_sketches(array_agg(latency)) AS latency, ${sums(STATUSES)}
    FROM own GROUP BY 1, 2
  )
  INSERT INTO metrics_hourly AS m
    (site, start, service_type, instance_id, client_requests, client_failed, retries, hedges, limited, client_latency,
     ${STATUSES.join(', ')})
  SELECT $2::text, $1::bigint, service_type, instance_id, requests, failed, retries, hedges, limited, latency,
         ${STATUSES.join(', ')}
  FROM summed
  ON CONFLICT (site, start, service_type, instance_id) DO UPDATE SET
    client_requests = excluded.client_requests, client_failed = excluded.client_failed, retries = excluded.retries,
    hedges = excluded.hedges, limited = excluded.limited, client_latency = excluded.client_latency,
    ${excluded(STATUSES)}`;

/** Rolls up the day at $1 from its hours. $2: ln γ, $3: site. */
export const SUM_DAY = `
  WITH summed AS MATERIALIZED (
    SELECT service_type, instance_id, sum(rows) AS rows, sum(requests) AS requests, sum(failures) AS failures,
           sum(response_time_sum) AS response_time_sum, max(peak_rate) AS peak_rate,
           max(peak_concurrency) AS peak_concurrency, sum(cpu_mean * rows) / nullif(sum(rows), 0) AS cpu_mean,
           max(cpu_max) AS cpu_max, sum(memory_mean * rows) / nullif(sum(rows), 0) AS memory_mean,
           max(memory_max) AS memory_max, sum(samples) AS samples, sum(up_samples) AS up_samples,
           max(queued_max) AS queued_max, sum(client_requests) AS client_requests, sum(client_failed) AS client_failed,
           sum(retries) AS retries, sum(hedges) AS hedges, sum(limited) AS limited, ${sums(OF_INSTANCE)},
           ${SKETCHES.map((column) => `acgs_merge_sketches(array_agg(${column})) AS ${column}`).join(', ')}
    FROM metrics_hourly WHERE site = $3::text AND start >= $1::bigint AND start < $1::bigint + 86400
    GROUP BY service_type, instance_id
  )
  INSERT INTO metrics_daily AS m (site, start, service_type, instance_id, ${DAY_COLUMNS.join(', ')}, p50_ms, p95_ms)
  SELECT $3::text, $1::bigint, service_type, instance_id, ${DAY_COLUMNS.join(', ')},
         acgs_sketch_quantile(latency, 0.5, $2::double precision), acgs_sketch_quantile(latency, 0.95, $2::double precision)
  FROM summed
  ON CONFLICT (site, start, service_type, instance_id) DO UPDATE SET
    ${excluded(DAY_COLUMNS)}, p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms`;
