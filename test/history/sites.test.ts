import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAlertStore } from '../../agent/alerting/store.ts';
import { readEvents } from '../../agent/history/events.ts';
import { maintain } from '../../agent/history/maintenance/maintain.ts';
import { createMaintenanceSchedule } from '../../agent/history/maintenance/schedule.ts';
import type { HistoryRecord } from '../../agent/history/records.ts';
import { readRequests } from '../../agent/history/requests.ts';
import { readRollups } from '../../agent/history/rollups/read.ts';
import { knownMinutes, readMinutes } from '../../agent/history/rollups/read-minutes.ts';
import type { Rollup } from '../../agent/history/rollups/rollup.ts';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { readHistory } from '../../agent/history/series/series.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { writeBatch } from '../../agent/history/sql/write-batch.ts';
import { readReport } from '../../agent/reports/read.ts';
import { readCapacity } from '../../agent/reports/read-capacity.ts';
import type { GovernanceSession } from '../../agent/sessions/session.ts';
import { createSessionStore } from '../../agent/sessions/store.ts';
import { createTraceHistory } from '../../agent/tracing/trace-history.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { startEmbedded, startPostgres } from '../harness/postgres.ts';

const [HOUR, DAY] = [3_600, 86_400];
const AT = Date.UTC(2026, 2, 10, 5) / 1000;
const TO = AT + HOUR;
const DAY_START = AT - 5 * HOUR;
/** The migrations before sites could share a database. */
const BEFORE_SITES = 9;

const SITE_TABLES = `SELECT table_name AS name FROM information_schema.columns
  JOIN pg_class ON relname = table_name AND NOT relispartition
  WHERE table_schema = 'public' AND column_name = 'site' ORDER BY 1`;

describe.each(['postgres', 'pglite'] as const)('sites that share %s', (kind) => {
  const releases: (() => unknown)[] = [];
  let near: Database;
  let far: Database;
  /** Has adopted a table of the original, and has no rows. */
  let adopter: Database;

  beforeAll(async () => {
    const server = kind === 'postgres' ? await startPostgres() : await embedded(releases);
    releases.push(() => server.stop());
    await migrate(server.url, 'near', { count: BEFORE_SITES });
    await writeAsBeforeSites(server.url);
    await migrate(server.url, 'near');
    // An agent of the former version keeps writing during a rolling upgrade.
    await writeAsBeforeSites(server.url, 60);
    await migrate(server.url, 'far');
    [near, far, adopter] = ['near', 'far', 'adopter'].map((site) =>
      openDatabase(server.url, site, { min: 0, max: 1, idle: 500 }),
    ) as [Database, Database, Database];
    releases.push(() => Promise.all([near.close(), far.close(), adopter.close()]));
    await adopter.query(
      `INSERT INTO adopted_tables (site, name, last_id, rows, until)
       VALUES ('adopter', 'load_balancing_metrics', 1000000, 0, $1)`,
      [TO],
    );
    await adopter.query("INSERT INTO dirty_hours (site, start) VALUES ('adopter', $1)", [AT]);
  });
  afterAll(async () => {
    for (const release of releases.reverse()) await release();
  });

  const contents = async ({ site }: Database): Promise<Record<string, unknown>> => {
    const { rows } = await near.query<{ name: string }>(SITE_TABLES);
    const tables: Record<string, unknown> = {};
    for (const { name } of rows) {
      const sql = `SELECT to_jsonb(t) AS row FROM ${name} AS t WHERE site = $1 ORDER BY to_jsonb(t)::text`;
      tables[name] = (await near.query(sql, [site])).rows;
    }
    return tables;
  };

  it('rows from before the migration, and of an agent of the former version, belong to the site that migrated first', async () => {
    const { rows } = await near.query(
      `SELECT site, count(*)::integer AS rows, (SELECT count(*)::integer FROM alerts WHERE site = 'near') AS alerts,
              (SELECT array_agg(DISTINCT site) FROM spool_batches) AS batches
       FROM load_balancing_metrics GROUP BY 1`,
    );
    expect(rows).toEqual([{ site: 'near', rows: 2, alerts: 1, batches: ['near'] }]);
    expect(await rollUp(near)).toMatchObject({ hours: 1, days: 1 });
    expect(await readRollups(near, { from: AT, to: TO, by: 'hour' })).toMatchObject([
      { instance: '', requests: 20 },
      { instance: 'gs-1', requests: 20 },
    ]);
    expect(await readRollups(far, { from: AT, to: TO, by: 'hour' })).toEqual([]);
  });

  it('each reads its own rows only, though services and instances have the same names', async () => {
    await write(near, 100);
    await write(far, 7);
    // A site finds no hour of another one.
    const found: unknown[] = [];
    expect(await rollUp(near, { onProgress: (left) => found.push(left) })).toMatchObject({
      hours: 1,
      days: 1,
    });
    expect(found).toEqual([
      { hours: 1, days: 0 },
      { hours: 0, days: 1 },
    ]);
    expect(await rollUp(near)).toMatchObject({ hours: 0, days: 0 });
    expect(await rollUp(far)).toMatchObject({ hours: 1, days: 1 });
    expect(await view(near)).toEqual(viewOf('near', 100, 20));
    expect(await view(far)).toEqual(viewOf('far', 7, 0));
    expect(await rollUp(adopter)).toMatchObject({ hours: 1 });
    expect(await readRollups(adopter, { from: AT, to: TO, by: 'hour' })).toEqual([]);
    const capacity = await readCapacity(adopter, { config: configOf('adopter'), month: 3, now: TO });
    expect(capacity.services).toMatchObject([{ service: 'gs', instances: 0 }]);
    expect(await createSessionStore(adopter).get('session of far')).toBeNull();
  });

  it('one changes no row of the other', async () => {
    const before = await contents(far);
    expect(Object.keys(before)).toHaveLength(18);
    const sessions = createSessionStore(near);
    await sessions.savePins('session of far', { gs: 'gs-2' }, []);
    expect(await sessions.update({ ...session(far.site), version: 2 })).toBeNull();
    await sessions.expire([{ state: 'active', before: (TO + HOUR) * 1000 }], TO * 1000);
    await createAlertStore(near, { write: () => {} }).removeSilence('silence of far');
    const ack = { id: 'alert of far', severity: 'warning', acknowledged_at: TO, acknowledged_by: 'x' };
    const alert = { ...alertOf(far.site), message: 'changed', changed_at: TO + 1 };
    await near.transaction((client) =>
      writeBatch(client, 'foreign', [
        { table: 'alert_acks', row: ack },
        { table: 'alerts', row: alert },
      ]),
    );
    expect(await contents(far)).toEqual(before);
  });

  it('retention of one leaves the other its rows; the last one drops the partition', async () => {
    const before = await contents(far);
    const done = await maintain(near, { retentionMs: DAY * 1000, now: AT + 500 * DAY });
    expect(done.dropped.filter((name) => /metrics_20260310$/.test(name))).toEqual([]);
    expect(done.deleted).toMatchObject({ load_balancing_metrics: 3, metrics_hourly: 3, request_traces: 1 });
    expect(await contents(far)).toEqual(before);
    expect(await contents(near)).toMatchObject({ load_balancing_metrics: [], state_events: [] });

    // The raw rows of the other are complete, so that a late row is counted with them.
    const late = { service_type: 'gs', instance_id: 'gs-1', timestamp: AT + 600, response_time: 0.1 };
    await far.transaction((client) =>
      writeBatch(client, 'late', [
        {
          table: 'load_balancing_metrics',
          row: { ...late, success_count: 10, failure_count: 0, current_connections: 1, total_requests: 10 },
        },
      ]),
    );
    await rollUp(far);
    const hours = await readRollups(far, { from: AT, to: TO, by: 'hour' });
    expect(hours.map(figuresOf)).toEqual(rollupsOf('far', 17));

    const now = (AT + 500 * DAY + 60) * 1000;
    expect(await maintainAsScheduled(far, now)).toMatchObject({ lastMaintained: now, lastError: null });
    const dropped = "SELECT to_regclass('load_balancing_metrics_20260310') AS name";
    expect((await far.query(dropped)).rows).toEqual([{ name: null }]);
    expect(await contents(far)).toMatchObject({ load_balancing_metrics: [], latency_minutes: [] });
  });
});

const configOf = (site: string) =>
  parseConfig(`version: 1\nsite: { id: ${site} }\nretention: 1d\nservices: { gs: { routes: [/] } }\n`);

/** Runs the schedule of a site once. */
async function maintainAsScheduled(database: Database, now: number) {
  const config = configOf(database.site);
  const log = pino({ level: 'silent' });
  const schedule = createMaintenanceSchedule({
    database,
    config: () => config,
    log,
    now: () => now,
    everyMs: 2,
  });
  schedule.start();
  await vi.waitFor(() => expect(schedule.status().lastRollUp).toBe(now), { timeout: 60_000, interval: 5 });
  await schedule.stop();
  return schedule.status();
}

/** The statements of the former version, for two rows and an alert. */
async function writeAsBeforeSites(url: string, second = 0): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('INSERT INTO spool_batches (id) VALUES ($1) ON CONFLICT DO NOTHING', [
      `old ${second}`,
    ]);
    await client.query("SELECT acgs_ensure_day('load_balancing_metrics', $1)", [AT]);
    await client.query(
      `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time, success_count, total_requests)
       VALUES ('gs', 'gs-1', $1, 0.1, 10, 10)`,
      [AT + second],
    );
    await client.query(
      `INSERT INTO alerts (id, rule, service_type, severity, state, message, started_at, changed_at, resolved_at)
       VALUES ('old', 'instanceDown', 'gs', 'warning', 'resolved', 'm', 0, $1, 1)
       ON CONFLICT (id) DO UPDATE SET changed_at = excluded.changed_at WHERE alerts.changed_at <= excluded.changed_at`,
      [second],
    );
  } finally {
    await client.end();
  }
}

const alertOf = (site: string) => ({
  id: `alert of ${site}`,
  rule: 'instanceDown',
  service_type: 'gs',
  instance_id: 'gs-1',
  severity: 'warning',
  state: 'firing',
  message: site,
  started_at: AT + 30,
  changed_at: AT + 30,
  notified: 0,
});

const session = (site: string): GovernanceSession => ({
  id: `session of ${site}`,
  workflowType: 'policy_creation',
  userId: 'u',
  state: 'active',
  currentStep: 's',
  completedSteps: [],
  stepDurations: {},
  stepStartedAt: AT * 1000,
  data: {},
  metadata: {},
  pins: { gs: 'gs-1' },
  moves: [],
  createdAt: AT * 1000,
  lastActivity: (AT + 60) * 1000,
  totalDuration: null,
  reason: null,
  version: 1,
});

/** One row in each table, with names that all sites have in common. */
async function write(database: Database, requests: number): Promise<void> {
  const { site } = database;
  const timestamp = AT + (site === 'near' ? 120 : 180);
  const subject = { service_type: 'gs', instance_id: 'gs-1', timestamp };
  const metrics = { response_time: 0.1, success_count: requests, failure_count: 0, total_requests: requests };
  const samples = { samples: 12, up_samples: 12, queued_max: 0, attempts: requests, failures: 0 };
  const { instance_id: _, ...service } = subject;
  const records: HistoryRecord[] = [
    { table: 'load_balancing_metrics', row: { ...subject, ...metrics, current_connections: 1 } },
    {
      table: 'service_health_history',
      row: { ...subject, timestamp: timestamp - 30, is_healthy: false, error_message: site },
    },
    { table: 'breaker_events', row: { ...subject, from_state: 'closed', to_state: 'open', reason: site } },
    { table: 'state_events', row: { ...subject, kind: 'state', to_state: 'down', reason: site } },
    { table: 'latency_minutes', row: { ...subject, ...samples } },
    {
      table: 'latency_minutes',
      row: { ...subject, ...samples, service_type: `idle-${site}`, instance_id: '' },
    },
    {
      table: 'request_minutes',
      row: { ...service, requests, failed: 0, attempts: 0, retries: 0, hedges: 0, limited: 0 },
    },
    { table: 'alerts', row: alertOf(site) },
    {
      table: 'audit_log',
      row: { timestamp: AT, actor: site, action: 'post', target: '/v1/publish', detail: {} },
    },
  ];
  createTraceHistory({ write: (rows) => records.push(...rows), database }).keep(
    { edge: [{ at: AT * 1000, requestId: 'r', traceId: 't', service: site } as never], gateway: [] },
    AT * 1000,
  );
  await database.transaction((client) => writeBatch(client, `new ${site}`, records));
  const sessions = createSessionStore(database);
  await sessions.insert(session(site));
  const done = { state: 'completed', pins: {}, totalDuration: requests } as const;
  await sessions.insert({ ...session(site), ...done, id: `done of ${site}` });
  const silence = { rule: '', service: '', until: (TO + HOUR) * 1000, reason: site, createdBy: site };
  await createAlertStore(database, { write: () => {} }).saveSilence({ id: `silence of ${site}`, ...silence });
}

/** The results of every read function. */
async function view(database: Database) {
  const range = { from: AT * 1000, to: TO * 1000, now: TO * 1000 };
  const store = createAlertStore(database, { write: () => {} });
  const report = await readReport(database, {
    from: AT - HOUR,
    to: TO,
    now: AT + 40 * DAY,
    targets: { availability: 0.999, p95Ms: 500, errorRate: 0.01 },
  });
  const days = { ...range, from: (AT - 10 * DAY) * 1000, now: (AT + 40 * DAY) * 1000 };
  const events = await readEvents(database, {
    kinds: [],
    since: AT * 1000 - 1,
    until: TO * 1000,
    limit: 100,
  });
  const requests = await readRequests(database, { from: AT, to: TO });
  const sessions = createSessionStore(database);
  const stats = await sessions.stats();
  const { edge } = await createTraceHistory({ write: () => {}, database }).find('r');
  const history = await readHistory(database, { service: 'gs', ...range }, []);
  const instance = await readHistory(database, { service: 'gs', instance: 'gs-1', ...range }, []);
  const whole = await readHistory(database, { ...range }, []);
  const minutes = await readMinutes(database, { from: AT, to: TO, step: HOUR });
  const known = await knownMinutes(database, AT, TO);
  return {
    site: history.site,
    minutes: history.totals.requests,
    instance: [instance.totals.requests, instance.totals.trafficPercent],
    hours: (await readHistory(database, { ...days }, [])).totals.requests,
    sessions: [whole, history, instance].map(({ totals }) => totals.sessions),
    recent: requests.get('gs')?.success,
    report: [report.site, report.total.requests, report.alerts.map(({ message }) => message)],
    incidents: report.incidents.map(({ kind, start, reason }) => `${kind} ${start - AT} ${reason}`),
    coverage: report.services.map(({ service, coverage, breakerOpenings }) => [
      service,
      coverage,
      breakerOpenings,
    ]),
    hourly: (await readRollups(database, { from: AT, to: TO, by: 'hour' })).map(figuresOf),
    daily: (await readRollups(database, { from: DAY_START, to: DAY_START + DAY, by: 'day' })).map(figuresOf),
    events: events.events.map(({ kind, reason }) => `${kind} ${reason}`).sort(),
    alerts: [...(await store.firing()), ...(await store.recent(1))].map(({ message }) => message),
    silences: (await store.silences(AT * 1000)).map(({ reason }) => reason),
    open: [...(await sessions.list({ limit: 9 })), ...(await sessions.listOpen(9))]
      .map(({ id }) => id)
      .sort(),
    sessionStats: [stats.total, stats.byWorkflow, stats.averageDuration],
    trace: edge.map(({ service }) => service),
    byMinutes: minutes.map(({ requests, client, samples }) => [requests, client?.requests, samples]),
    knownMinutes: known.map(({ instance, known: count }) => [instance, count]),
    isAdopted: report.notes.some((note) => note.includes('original system')),
  };
}

const figuresOf = ({ service, instance, requests, samples }: Rollup) =>
  `${service}/${instance}: ${requests} requests, ${samples} samples`;
const rollupsOf = (site: string, requests: number) => [
  `gs/: ${requests} requests, 0 samples`,
  `gs/gs-1: ${requests} requests, 12 samples`,
  `idle-${site}/: 0 requests, 12 samples`,
];

const viewOf = (site: string, requests: number, earlier: number) => ({
  site,
  minutes: requests,
  instance: [requests, 100],
  hours: requests,
  sessions: [2, 1, 1],
  incidents: [
    `down ${site === 'near' ? 90 : 150} ${site}`,
    `outage ${site === 'near' ? 90 : 150} no instance left; the last was gs-1: ${site}`,
  ],
  coverage: [
    ['gs', 0.5, 1],
    [`idle-${site}`, 0.5, 0],
  ],
  recent: requests,
  report: [site, requests, [site]],
  hourly: rollupsOf(site, requests + earlier),
  daily: rollupsOf(site, requests + earlier),
  events: [`alert ${site}`, `breaker ${site}`, 'command post /v1/publish', `health ${site}`, `state ${site}`],
  alerts: [site, site],
  silences: [site],
  open: [`done of ${site}`, `session of ${site}`, `session of ${site}`],
  sessionStats: [2, { policy_creation: 1 }, requests],
  trace: [site],
  byMinutes: [
    [requests + earlier, requests, 0],
    [requests + earlier, undefined, 12],
    [0, undefined, 12],
  ],
  knownMinutes: [
    ['gs-1', 1],
    ['', 1],
  ],
  isAdopted: false,
});

async function embedded(releases: (() => unknown)[]) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-sites-'));
  releases.push(() => rmSync(folder, { recursive: true, force: true }));
  return startEmbedded(join(folder, 'db'));
}
