import type { Sketch } from '../../shared/sketch.ts';
import { emptyTotals, type TrafficTotals } from '../core/traffic-window.ts';
import { mergeBy } from './rollups/statements.ts';
import type { Queryable } from './sql/database.ts';

interface RequestRow extends Record<string, unknown> {
  service: string;
  requests: number;
  failed: number;
  attempts: number;
  retries: number;
  hedges: number;
  limited: number;
  latency: Sketch | null;
}

const SUMS = `
  WITH own AS (
    SELECT service_type, '' AS instance_id, requests, failed, attempts, retries, hedges, limited, latency
    FROM request_minutes WHERE site = $1 AND timestamp >= $2 AND timestamp < $3
  ),
  parts AS (SELECT service_type, instance_id, latency AS sketch FROM own WHERE latency IS NOT NULL),
  ${mergeBy('service_type', 'instance_id')},
  summed AS (
    SELECT service_type, sum(requests) AS requests, sum(failed) AS failed, sum(attempts) AS attempts,
           sum(retries) AS retries, sum(hedges) AS hedges, sum(limited) AS limited
    FROM own GROUP BY 1
  )
  SELECT service_type AS service, requests::double precision, failed::double precision, attempts::double precision,
         retries::double precision, hedges::double precision, limited::double precision, sketch AS latency
  FROM summed LEFT JOIN merged USING (service_type)`;

/** The requests of each service of the site in the whole minutes that start in [from, to), in epoch seconds. */
export async function readRequests(
  database: Queryable,
  { from, to }: { from: number; to: number },
): Promise<Map<string, TrafficTotals>> {
  const { rows } = await database.query<RequestRow>(SUMS, [database.site, from, to]);
  return new Map(
    rows.map(({ service, requests, failed, attempts, retries, hedges, limited, latency }) => [
      service,
      {
        ...emptyTotals(),
        success: requests - failed,
        failure: failed,
        latency,
        attempts,
        retries,
        hedges,
        limited,
      },
    ]),
  );
}
