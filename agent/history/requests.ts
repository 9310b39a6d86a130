import type { Sketch } from '../../shared/sketch.ts';
import { emptyTotals, type TrafficTotals } from '../core/traffic-window.ts';
import type { Queryable } from './sql/database.ts';
import { parseSketch } from './sql/sketch-column.ts';

interface RequestRow extends Record<string, unknown> {
  service: string;
  requests: number;
  failed: number;
  attempts: number;
  retries: number;
  hedges: number;
  limited: number;
  latency: string | Sketch | null;
}

const SUMS = `
  SELECT service_type AS service, sum(requests)::double precision AS requests, sum(failed)::double precision AS failed,
         sum(attempts)::double precision AS attempts, sum(retries)::double precision AS retries,
         sum(hedges)::double precision AS hedges, sum(limited)::double precision AS limited,
         acgs_merge_sketches(array_agg(latency)) AS latency
  FROM request_minutes WHERE site = $1 AND timestamp >= $2 AND timestamp < $3 GROUP BY 1`;

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
        latency: parseSketch(latency),
        attempts,
        retries,
        hedges,
        limited,
      },
    ]),
  );
}
