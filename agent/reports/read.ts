import type { Config } from '../../shared/config/config.ts';
import { readRollups } from '../history/rollups/read.ts';
import { knownMinutes, readMinutes } from '../history/rollups/read-minutes.ts';
import { DAY_SECONDS, HOUR_SECONDS } from '../history/rollups/run.ts';
import type { Queryable } from '../history/sql/database.ts';
import { bucketFor, buildReport } from './build.ts';
import type { StateEvent } from './incidents.ts';
import type { AlertReport, Report, ReportTargets } from './report.ts';

export interface ReportOptions {
  /** Epoch seconds. */
  from: number;
  to: number;
  now: number;
  targets: ReportTargets;
}

/** The targets of the configuration. */
export function targetsOf(config: Config): ReportTargets {
  const { availabilityPercent, p95Ms, errorPercent } = config.monitor.thresholds;
  return {
    availability: availabilityPercent.warning / 100,
    p95Ms: p95Ms.critical,
    errorRate: errorPercent.warning / 100,
  };
}

/**
 * Reads minutes, where history still has all of them, else roll-ups and no raw rows. The period starts at a full minute, or
 * at a full hour.
 */
export async function readReport(database: Queryable, options: ReportOptions): Promise<Report> {
  const { now, targets } = options;
  const { bucket, unit } = bucketFor(options.from, options.to, now);
  const from = Math.floor(options.from / unit) * unit;
  const to = Math.max(options.to, from + unit);
  const ofMinutes = unit < HOUR_SECONDS;
  const by = bucket === DAY_SECONDS ? 'day' : 'hour';
  return buildReport({
    site: database.site,
    from,
    to,
    generatedAt: now,
    targets,
    bucket,
    unit,
    rollups: ofMinutes
      ? await readMinutes(database, { from, to, step: bucket })
      : await readRollups(database, { from, to, by }),
    known: await (ofMinutes ? knownMinutes : knownHours)(database, from, to),
    events: await stateEvents(database, from, to),
    breakers: await breakerOpenings(database, from, to),
    alerts: await alertsIn(database, from, to),
    adoptedUntil: await adoptedUntil(database),
  });
}

async function knownHours(database: Queryable, from: number, to: number) {
  const { rows } = await database.query<{
    service: string;
    instance: string;
    known: number;
    sampled: number;
  }>(
    `SELECT service_type AS service, instance_id AS instance, count(*) AS known,
            count(*) FILTER (WHERE samples > 0) AS sampled
     FROM metrics_hourly WHERE start >= $1 AND start < $2 AND site = $3 AND service_type <> '' GROUP BY 1, 2`,
    [from, Math.ceil(to), database.site],
  );
  return rows;
}

/**
 * Events in the period and, for each instance, the last state event and the last operator event before it. The health
 * history stands in before the first state event of an instance, as in history of the original program. Events from
 * before the last registration of an instance do not count: they belong to an earlier instance of that name.
 */
async function stateEvents(database: Queryable, from: number, to: number): Promise<StateEvent[]> {
  const { rows } = await database.query<StateEvent & Record<string, unknown>>(
    `WITH first AS (
       SELECT service_type, instance_id, min(timestamp) AS at FROM state_events WHERE site = $3 AND kind = 'state' GROUP BY 1, 2
     ),
     events AS (
       SELECT id, service_type, instance_id, timestamp, reason, kind = 'admin' AS asked,
              CASE WHEN kind = 'registered' THEN 'registered' WHEN kind = 'deregistered' THEN 'gone'
                   WHEN kind = 'admin' THEN CASE WHEN to_state = 'maint' THEN 'maint' ELSE 'ready' END
                   WHEN to_state = 'down' THEN 'down' ELSE 'serving' END AS what
       FROM state_events
       WHERE site = $3 AND kind IN ('state', 'admin', 'registered', 'deregistered') AND timestamp < $2
       UNION ALL
       SELECT id, service_type, instance_id, timestamp, coalesce(error_message, ''), false,
              CASE WHEN is_healthy THEN 'serving' ELSE 'down' END
       FROM service_health_history LEFT JOIN first USING (service_type, instance_id)
       WHERE site = $3 AND timestamp < $2 AND (first.at IS NULL OR timestamp < first.at)
     ),
     lives AS (
       SELECT *, max(timestamp) FILTER (WHERE what IN ('registered', 'gone'))
                   OVER (PARTITION BY service_type, instance_id) AS began
       FROM events WHERE timestamp < $1
     ),
     before AS (
       SELECT DISTINCT ON (service_type, instance_id, asked) id, service_type, instance_id, timestamp, reason, what
       FROM lives WHERE began IS NULL OR timestamp >= began
       ORDER BY service_type, instance_id, asked, timestamp DESC, id DESC
     )
     SELECT service_type AS service, instance_id AS instance, timestamp AS at, what, reason
     FROM (
       SELECT * FROM before UNION ALL
       SELECT id, service_type, instance_id, timestamp, reason, what FROM events WHERE timestamp >= $1
     ) AS both_
     ORDER BY timestamp, id`,
    [from, to, database.site],
  );
  return rows;
}

async function breakerOpenings(database: Queryable, from: number, to: number) {
  const { rows } = await database.query<{ service: string; instance: string; at: number; reason: string }>(
    `SELECT service_type AS service, instance_id AS instance, timestamp AS at, reason
     FROM breaker_events WHERE site = $3 AND to_state = 'open' AND timestamp >= $1 AND timestamp < $2 ORDER BY timestamp`,
    [from, to, database.site],
  );
  return rows;
}

async function alertsIn(database: Queryable, from: number, to: number): Promise<AlertReport[]> {
  const { rows } = await database.query<AlertReport & Record<string, unknown>>(
    `SELECT id, rule, service_type AS service, instance_id AS instance, severity, message,
            started_at AS "startedAt", resolved_at AS "resolvedAt"
     FROM alerts WHERE site = $3 AND started_at < $2 AND coalesce(resolved_at, $2) >= $1 ORDER BY started_at DESC LIMIT 200`,
    [from, to, database.site],
  );
  return rows;
}

async function adoptedUntil(database: Queryable): Promise<number | null> {
  const { rows } = await database.query<{ until: number | null }>(
    "SELECT until FROM adopted_tables WHERE site = $1 AND name = 'load_balancing_metrics'",
    [database.site],
  );
  return rows[0]?.until ?? null;
}
