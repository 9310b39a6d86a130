import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { instanceKey } from '../../agent/core/state.ts';
import { createTrafficWindow, type TrafficWindow } from '../../agent/core/traffic-window.ts';
import { EVENT_KINDS, type EventCursor, type EventQuery, readEvents } from '../../agent/history/events.ts';
import { createMinuteAggregator } from '../../agent/history/minutes.ts';
import { changeRecords, configAuditRecord, type HistoryRecord } from '../../agent/history/records.ts';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { type History, readHistory } from '../../agent/history/series/series.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { writeBatch } from '../../agent/history/sql/write-batch.ts';
import { readReport } from '../../agent/reports/read.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../harness/instance.ts';
import { startEmbedded, startPostgres } from '../harness/postgres.ts';
import { useServers } from '../harness/use-servers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** 30 minutes of traffic; the last minute is not written. */
const START = Date.UTC(2026, 2, 10, 12);
const NOW = START + 29 * MINUTE + 30_000;

const sketchOf = (ms: number, times: number) => {
  const sketch = emptySketch();
  addToSketch(sketch, ms, times);
  return sketch;
};

/** gs-1 fails each tenth attempt, is slow, and its probes fail; gs-2 and gs-3 are healthy. */
const INSTANCES = [
  { instance: 'gs-1', success: 9, failure: 1, ms: 400, ok: false },
  { instance: 'gs-2', success: 10, failure: 0, ms: 20, ok: true },
  { instance: 'gs-3', success: 10, failure: 0, ms: 40, ok: true },
];

/** Ten seconds of traffic. */
function addTraffic(window: TrafficWindow, at: number): void {
  for (const { instance, success, failure, ms, ok } of INSTANCES) {
    window.addTraffic({
      kind: 'traffic',
      source: 'haproxy',
      service: 'gs',
      instance,
      at,
      success,
      failure,
      slow: 0,
      statuses: { '2xx': success, '3xx': 0, '4xx': 0, '5xx': failure },
      latency: sketchOf(ms, 10),
    });
    window.addProbe({ kind: 'probe', service: 'gs', instance, at, ok, latencyMs: 4 });
  }
  window.addRequests({
    source: 'edge',
    service: 'gs',
    at,
    statuses: { '2xx': 28, '3xx': 0, '4xx': 1, '5xx': 1 },
    retries: 2,
    hedges: 1,
    limited: 1,
    latency: sketchOf(100, 29),
  });
}

/** From minute 10 to 14 nothing happens; the last minute is not written. */
function recordTraffic(): { written: HistoryRecord[]; pending: HistoryRecord[] } {
  const window = createTrafficWindow();
  const minutes = createMinuteAggregator(window);
  const written: HistoryRecord[] = [];
  const times = Array.from({ length: 30 * 6 }, (_, index) => START + index * 10_000).filter(
    (at) => at <= NOW,
  );
  const minuteOf = (at: number) => Math.floor((at - START) / MINUTE);
  for (const at of times.filter((time) => minuteOf(time) < 10 || minuteOf(time) >= 15)) {
    addTraffic(window, at);
    const breaker = minuteOf(at) < 5 ? 'open' : 'closed';
    const state = minuteOf(at) < 20 ? 'up' : 'down';
    const samples = [
      sampleInstance({ service: 'gs', id: 'gs-1', inflight: 3, breaker }),
      sampleInstance({ service: 'gs', id: 'gs-2', inflight: 1 }),
      sampleInstance({ service: 'gs', id: 'gs-3', inflight: 1, state }),
    ];
    window.addSample(
      samples.map((one) => [instanceKey('gs', one.id), one] as const),
      at,
    );
    written.push(...minutes.takeEnded(at));
  }
  return { written, pending: minutes.pending() };
}

describe.each(['postgres', 'pglite'] as const)('series and events in %s', (kind) => {
  let database: Database;
  const releases: (() => unknown)[] = [];
  const { written, pending } = recordTraffic();

  useServers(async () => {
    const server = kind === 'postgres' ? await startPostgres() : await embedded(releases);
    releases.push(() => server.stop());
    await migrate(server.url, 'main');
    database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
    releases.push(() => database.close());
    await write(written);
  }, releaseAll);

  async function releaseAll(): Promise<void> {
    for (const release of releases.splice(0).reverse()) await release();
  }

  let batches = 0;
  const write = (records: readonly HistoryRecord[]) =>
    database.transaction((client) => writeBatch(client, `batch ${++batches}`, records));
  const read = (subject: { service?: string; instance?: string }, from = START, to = NOW): Promise<History> =>
    readHistory(database, { ...subject, from, to, now: NOW }, pending);

  it('minutes of a service: requests as clients saw them, the current minute included, gaps as null', async () => {
    const history = await read({ service: 'gs' });
    expect(history).toMatchObject({
      of: 'requests',
      from: START,
      to: NOW,
      stepSeconds: 60,
      source: 'minutes',
    });
    expect(history.times).toEqual(Array.from({ length: 30 }, (_, index) => START + index * MINUTE));
    const { series, totals } = history;
    expect(series.requests.slice(8, 16)).toEqual([180, 180, null, null, null, null, null, 180]);
    expect(series.requests.at(-1)).toBe(120);
    const steps = 24 * 6 + 4;
    expect(totals).toMatchObject({
      requests: steps * 30,
      failed: steps,
      attempts: steps * 30,
      retries: steps * 2,
      hedges: steps,
      limited: steps,
      status2xx: steps * 28,
      status4xx: steps,
      status5xx: steps,
      concurrency: 5,
      servingPercent: 100,
      sessions: 0,
    });
    expect(totals.errorPercent).toBeCloseTo(100 / 30, 3);
    expect(totals.availabilityPercent).toBeCloseTo(100 - 100 / 30, 3);
    for (const name of ['p50Ms', 'p95Ms', 'p99Ms'] as const) expect(within(series[name][0], 100)).toBe(true);
    expect(history.peers).toBeNull();
  });

  it('minutes of an instance: attempts, probes, breaker, its share, and its peers', async () => {
    const { series, totals, peers, of } = await read({ service: 'gs', instance: 'gs-1' });
    expect(of).toBe('attempts');
    expect(totals).toMatchObject({
      errorPercent: 10,
      probesFailed: totals.probes,
      probeMs: null,
      concurrency: 3,
      servingPercent: 100,
      availabilityPercent: 100,
    });
    expect(totals.trafficPercent).toBeCloseTo(100 / 3, 1);
    expect(series.breakerOpenPercent?.slice(4, 6)).toEqual([100, 0]);
    expect(series.status5xx[0]).toBe(6);
    expect(within(totals.p95Ms, 400)).toBe(true);
    expect(peers?.count).toBe(2);
    expect(within(peers?.p95Ms[0], 30)).toBe(true);
    expect(peers?.totals.errorPercent).toBe(0);
    const third = await read({ service: 'gs', instance: 'gs-3' });
    expect(third.series.servingPercent.slice(19, 21)).toEqual([100, 0]);
    expect(third.totals).toMatchObject({ probesFailed: 0, probeMs: 4 });
  });

  it('the site is the sum of its services', async () => {
    const { totals } = await read({});
    expect(totals).toMatchObject({ requests: (24 * 6 + 4) * 30, concurrency: 5 });
  });

  it('a report of minutes has exact ends, and the same figures', async () => {
    const figures = await readReport(database, {
      from: START / 1000,
      to: START / 1000 + 9 * 60,
      now: NOW / 1000,
      targets: { availability: 0.999, p95Ms: 500, errorRate: 0.01 },
    });
    expect(figures).toMatchObject({ from: START / 1000, to: START / 1000 + 540, bucket: 60 });
    expect(figures.services).toMatchObject([
      { service: 'gs', requests: 9 * 180, failures: 54, retries: 108, limited: 54, coverage: 1 },
    ]);
    expect(figures.services[0]?.series.map(({ requests }) => requests)).toEqual(new Array(9).fill(180));
    expect(within(figures.services[0]?.latency?.p95, 100)).toBe(true);
    expect(figures.total.requests).toBe(9 * 180);
    const slowest = figures.instances[0];
    expect(slowest).toMatchObject({ instance: 'gs-1', availability: { basis: 'time', ratio: 1 } });
    expect(within(slowest?.latency?.p95, 400)).toBe(true);
  });

  it('hours and days have the same totals, without what is not written', async () => {
    await rollUp(database);
    const minutes = await read({ service: 'gs', instance: 'gs-1' });
    const hours = await read({ service: 'gs', instance: 'gs-1' }, START - 7 * 24 * HOUR, NOW);
    expect(hours).toMatchObject({ source: 'hours', stepSeconds: 3_600 });
    expect(hours.times.length).toBeLessThanOrEqual(300);
    const days = await read({ service: 'gs' }, START - 200 * 24 * HOUR, NOW);
    expect(days).toMatchObject({ source: 'days', stepSeconds: 86_400 });
    const service = await read({ service: 'gs' });
    expect(days.totals.requests).toBe((service.totals.requests ?? 0) - 120);
    expect(days.totals.status5xx).toBe((service.totals.status5xx ?? 0) - 4);
    expect(hours.totals.probes).toBe((minutes.totals.probes ?? 0) - 4);
    expect(hours.totals.p95Ms).toBe(minutes.totals.p95Ms);
    expect(hours.peers?.totals.p95Ms).toBeCloseTo(minutes.peers?.totals.p95Ms ?? 0, 0);
    const twice = await read({ service: 'gs' });
    expect(twice.totals).toEqual(service.totals);
  });

  it('counts governance sessions in every step in which they are active', async () => {
    const insert = (id: string, from: number, to: number, pins: object) =>
      database.query(
        `INSERT INTO governance_sessions (id, workflow_type, user_id, state, current_step, step_started_at, pins, created_at, last_activity)
         VALUES ($1, 'policy_creation', 'u', 'active', 's', 0, $2, $3, $4)`,
        [id, JSON.stringify(pins), from / 1000, to / 1000],
      );
    await insert('a', START - HOUR, START + 2 * MINUTE, { gs: 'gs-1' });
    await insert('b', START + MINUTE, START + 3 * MINUTE, { gs: 'gs-2' });
    await insert('c', START + MINUTE, START + 3 * MINUTE, { pgc: 'pgc-1' });
    const [site, service, instance] = await Promise.all([
      read({}),
      read({ service: 'gs' }),
      read({ service: 'gs', instance: 'gs-1' }),
    ]);
    expect(site.series.sessions.slice(0, 5)).toEqual([1, 3, 3, 2, 0]);
    expect(service.series.sessions.slice(0, 5)).toEqual([1, 2, 2, 1, 0]);
    expect(instance.series.sessions.slice(0, 5)).toEqual([1, 1, 1, 0, 0]);
    expect(site.totals.sessions).toBe(3);
  });

  it('events of every kind, filtered, page by page', async () => {
    const change = { service: 'gs', instance: 'gs-1', reason: 'why' };
    const kinds = ['state', 'health', 'breaker', 'outlier', 'admin', 'weight', 'rollout'] as const;
    const alert = {
      id: 'x',
      rule: 'p95Ms',
      service_type: 'gs',
      instance_id: '',
      severity: 'critical',
      state: 'resolved',
      value: 1,
      threshold: 1,
      message: 'slow',
      started_at: START / 1000 + 20,
      changed_at: 0,
      resolved_at: START / 1000 + 21,
      notified: 0,
    };
    await write([
      ...kinds.flatMap((each, index) =>
        changeRecords(
          { ...change, kind: each, at: START + index * 1000, from: 'up', to: 'down', by: 'jo' },
          undefined,
        ),
      ),
      configAuditRecord({ ...change, instance: '', kind: 'config', at: START + 10_000, by: 'jo' }),
      { table: 'alerts', row: alert },
      command('publish', 30),
      command('put', 31, '/v1/config'),
    ]);
    const query: EventQuery = { kinds: [], since: START, until: NOW, limit: 100 };
    const { events, next } = await readEvents(database, query);
    expect(next).toBeNull();
    expect(events.map(({ kind: each, at }) => [each, (at - START) / 1000])).toEqual([
      ['command', 30],
      ['alert', 21],
      ['alert', 20],
      ['config', 10],
      ...kinds.map((each, index) => [each, index]).reverse(),
    ]);
    expect(events.filter(({ by }) => by === 'jo').map(({ kind: each }) => each)).toContain('admin');
    expect(events[1]).toMatchObject({
      service: 'gs',
      from: 'firing',
      to: 'resolved',
      reason: 'slow',
      alert: { id: 'x', rule: 'p95Ms', severity: 'critical' },
    });
    expect(events[2]?.reason).toBe('p95Ms (critical), ended after 1 s');
    const pages: string[] = [];
    let before: EventCursor | null | undefined;
    do {
      const page = await readEvents(database, { ...query, limit: 3, ...(before && { before }) });
      pages.push(...page.events.map(({ id }) => id));
      before = page.next;
    } while (before);
    expect(pages).toEqual(events.map(({ id }) => id));
    const only = async (filter: Partial<EventQuery>) =>
      (await readEvents(database, { ...query, ...filter })).events.map(({ kind: each }) => each);
    expect(await only({ service: 'gs', instance: 'gs-1', kinds: ['breaker', 'rollout'] })).toEqual([
      'rollout',
      'breaker',
    ]);
    expect(await only({ service: 'pgc' })).toEqual([]);
    expect(await only({ since: START + 5_000, until: START + 10_000 })).toEqual([
      'config',
      'rollout',
      'weight',
    ]);
    for (const each of EVENT_KINDS) await only({ kinds: [each] });
  });
});

const command = (action: string, second: number, target = '/v1/publish'): HistoryRecord => ({
  table: 'audit_log',
  row: { timestamp: START / 1000 + second, actor: 'jo', action, target, detail: {} },
});

const within = (value: number | null | undefined, expected: number): boolean =>
  value !== null && value !== undefined && Math.abs(value - expected) <= expected * 0.0101;

async function embedded(releases: (() => unknown)[]) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-series-'));
  releases.push(() => rmSync(folder, { recursive: true, force: true }));
  return startEmbedded(join(folder, 'db'));
}
