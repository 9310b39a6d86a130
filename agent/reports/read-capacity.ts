import type { Config } from '../../shared/config/config.ts';
import { readRollups } from '../history/rollups/read.ts';
import { DAY_SECONDS } from '../history/rollups/run.ts';
import type { Queryable } from '../history/sql/database.ts';
import { type Capacity, reviewCapacity, reviewedMonth } from './capacity.ts';

/** Older history does not improve the forecast of a quarter, and takes seconds to read. */
const HISTORY = 400 * DAY_SECONDS;

/**
 * Counts the instances that history has for the last day of the month, so registered instances count and a past month
 * keeps its own number. Without history, counts the configured instances.
 */
export async function readCapacity(
  database: Queryable,
  options: { config: Config; month: number; now: number; onService?: (done: number, total: number) => void },
): Promise<Capacity> {
  const { config, month, now, onService } = options;
  const { to } = reviewedMonth(month, now);
  const { rows } = await database.query<{ service: string; instances: number }>(
    `SELECT service_type AS service, count(DISTINCT instance_id) AS instances FROM metrics_hourly
     WHERE site = $3 AND instance_id <> '' AND rows > 0 AND start >= $1 AND start < $2 GROUP BY 1`,
    [Math.floor(to) - DAY_SECONDS, Math.ceil(to), database.site],
  );
  const seen = new Map(rows.map(({ service, instances }) => [service, instances]));
  const all = await readRollups(database, { from: to - HISTORY, to, by: 'hour', sketches: false });
  return reviewCapacity({
    site: database.site,
    month,
    now,
    ...(onService && { onService }),
    hours: all.filter(({ instance }) => instance === ''),
    services: Object.values(config.services).map(({ id, maxconn, instances }) => ({
      service: id,
      maxconn,
      instances: seen.get(id) ?? instances.length,
    })),
  });
}
