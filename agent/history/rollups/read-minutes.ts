import type { Queryable } from '../sql/database.ts';
import { type RollupRow, toRollup } from './read.ts';
import type { Rollup } from './rollup.ts';
import { ROW_SECONDS } from './run.ts';
import { spanOf } from './statements.ts';

/**
 * Parameters: from, to, seconds of a step, the fewest seconds of a raw row, site. A service has one row per step, an
 * instance one row for the whole range.
 */
const MINUTES = `
  WITH raw AS (
    SELECT service_type, instance_id, timestamp, greatest(total_requests, 0) AS requests, greatest(failure_count, 0) AS failures,
           CASE WHEN response_time >= 0 AND response_time < 86400 THEN response_time END AS response_time,
           current_connections, cpu_usage, memory_usage, ${spanOf('$4')} AS span
    FROM load_balancing_metrics
    WHERE timestamp >= $1::double precision AND timestamp < $2::double precision AND site = $5::text AND instance_id <> ''
      AND id > (SELECT coalesce(max(last_id), 0) FROM adopted_tables WHERE site = $5::text AND name = 'load_balancing_metrics')
    WINDOW w AS (PARTITION BY service_type, instance_id ORDER BY timestamp)
  ),
  counted AS (
    SELECT $1::bigint AS start, service_type, instance_id, timestamp, 1 AS rows, requests, failures, response_time,
           current_connections, cpu_usage, memory_usage, span FROM raw
    UNION ALL
    SELECT step_of(timestamp), service_type, '', floor(timestamp / span), count(*), sum(requests), sum(failures),
           sum(response_time * requests) / nullif(sum(requests), 0), sum(current_connections), max(cpu_usage), max(memory_usage), max(span)
    FROM raw GROUP BY 1, 2, 4
  ),
  figures AS (
    SELECT start, service_type, instance_id, sum(rows)::integer AS rows, sum(requests)::double precision AS requests,
           sum(failures)::double precision AS failures, coalesce(sum(response_time * requests), 0) AS response_time_sum,
           max(requests / span)::double precision AS peak_rate, max(current_connections)::double precision AS peak_concurrency,
           max(cpu_usage) AS cpu_max, max(memory_usage) AS memory_max
    FROM counted GROUP BY 1, 2, 3
  ),
  minutes AS (
    SELECT CASE WHEN instance_id = '' THEN step_of(timestamp) ELSE $1::bigint END AS start, service_type, instance_id,
           samples, up_samples, queued_max, latency
    FROM latency_minutes WHERE timestamp >= $1::double precision AND timestamp < $2::double precision AND site = $5::text
      AND service_type <> ''
  ),
  sampled AS (
    SELECT start, service_type, instance_id, sum(samples)::integer AS samples, sum(up_samples)::integer AS up_samples,
           max(queued_max) AS queued_max, acgs_merge_sketches(array_agg(latency)) AS latency
    FROM minutes GROUP BY 1, 2, 3
  ),
  clients AS (
    SELECT step_of(timestamp) AS start, service_type, '' AS instance_id, requests, failed, retries, hedges, limited, latency
    FROM request_minutes WHERE timestamp >= $1::double precision AND timestamp < $2::double precision AND site = $5::text
  ),
  requested AS (
    SELECT start, service_type, instance_id, sum(requests)::double precision AS client_requests,
           sum(failed)::double precision AS client_failed, sum(retries)::double precision AS retries,
           sum(hedges)::double precision AS hedges, sum(limited)::double precision AS limited,
           acgs_merge_sketches(array_agg(latency)) AS client_latency
    FROM clients GROUP BY 1, 2, 3
  )
  SELECT start, service_type, instance_id, coalesce(rows, 0) AS rows, coalesce(requests, 0) AS requests,
         coalesce(failures, 0) AS failures, coalesce(response_time_sum, 0) AS response_time_sum,
         coalesce(peak_rate, 0) AS peak_rate, coalesce(peak_concurrency, 0) AS peak_concurrency,
         coalesce(queued_max, 0) AS queued_max, cpu_max, memory_max, coalesce(samples, 0) AS samples,
         coalesce(up_samples, 0) AS up_samples, client_requests, client_failed, retries, hedges, limited,
         client_latency, CASE WHEN instance_id <> '' THEN latency END AS latency
  FROM figures FULL JOIN sampled USING (start, service_type, instance_id)
  FULL JOIN requested USING (start, service_type, instance_id)
  ORDER BY start, service_type, instance_id`.replaceAll(
  'step_of(timestamp)',
  'floor(timestamp / $3::integer)::bigint * $3::integer',
);

/**
 * The figures of [from, to), in epoch seconds, from raw rows and minutes, which history keeps for three days: one for
 * each service and `step` seconds, one for each instance and the whole range.
 */
export async function readMinutes(
  database: Queryable,
  { from, to, step }: { from: number; to: number; step: number },
): Promise<Rollup[]> {
  const { rows } = await database.query<RollupRow & Record<string, unknown>>(MINUTES, [
    from,
    to,
    step,
    ROW_SECONDS,
    database.site,
  ]);
  return rows.map(toRollup);
}

/** For each service (instance '') and instance: minutes with data, and minutes with availability samples. */
export async function knownMinutes(database: Queryable, from: number, to: number) {
  const { rows } = await database.query<{
    service: string;
    instance: string;
    known: number;
    sampled: number;
  }>(
    `SELECT service_type AS service, instance_id AS instance, count(DISTINCT timestamp) AS known,
            count(DISTINCT timestamp) FILTER (WHERE samples > 0) AS sampled
     FROM latency_minutes WHERE timestamp >= $1 AND timestamp < $2 AND site = $3 AND service_type <> '' GROUP BY 1, 2`,
    [from, to, database.site],
  );
  return rows;
}
