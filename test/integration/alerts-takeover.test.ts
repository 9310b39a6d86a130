import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAlertManager } from '../../agent/alerting/alert-manager.ts';
import type { AlertMessage } from '../../agent/alerting/message.ts';
import { type AlertStore, createAlertStore } from '../../agent/alerting/store.ts';
import type { SiteSummary } from '../../agent/alerting/summary.ts';
import type { HistoryRecord } from '../../agent/history/records.ts';
import { openSpool } from '../../agent/history/spool.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { createHistoryWriter, type HistoryWriter } from '../../agent/history/writer.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { eventually } from '../harness/eventually.ts';
import { startPostgres } from '../harness/postgres.ts';

/** One alert, several agents: notifications must not depend on which agent is alive. */

const log = pino({ level: 'silent' });
const MINUTE = 60_000;
const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
alerts: { repeat: { warning: 5m, critical: 3m, emergency: 1m, atMost: 10 } }
`);
const folder = mkdtempSync(join(tmpdir(), 'acgs-takeover-'));
let server: LocalPostgres;
let database: Database;
let writer: HistoryWriter;
beforeAll(async () => {
  server = await startPostgres();
  await migrate(server.url, 'main');
  database = openDatabase(server.url, 'main', { min: 0, max: 4, idle: 1_000 });
  const spool = await openSpool<HistoryRecord[]>({ folder });
  writer = createHistoryWriter({ database, spool, log, flushMs: 1 });
});
/** Each test starts with an empty database, also when it is retried. */
beforeEach(async () => {
  await saved();
  await database.query('DELETE FROM alerts');
  await database.query('DELETE FROM alert_silences');
  sent.length = 0;
});
afterAll(async () => {
  await writer?.close(1_000);
  await database?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Every request of the last minutes took `p95Ms`. */
function summary(p95Ms: number): SiteSummary {
  const measures = {
    requests: 100,
    failed: 0,
    perSecond: 1,
    errorPercent: 0,
    p50Ms: p95Ms,
    p95Ms,
    p99Ms: p95Ms,
    latencySamples: 100,
    availabilityPercent: 100,
    servingPercent: 100,
    samples: 100,
    attempts: 100,
    retries: 0,
    hedges: 0,
    limited: 0,
    concurrency: 1,
    queuedMax: 0,
  };
  const service = { id: 'gs', up: 1, of: 1, ...measures, instances: [] };
  const host = { cpuPercent: 1, memoryPercent: 1, samples: 100 };
  return { at: 0, site: 'main', windowSeconds: 300, total: measures, host, services: [service] };
}

let clock = Date.UTC(2027, 0, 1);
const sent: string[] = [];
function agent(
  name: string,
  isLeader: () => boolean,
  store: AlertStore = createAlertStore(database, writer),
) {
  return createAlertManager({
    config: () => config,
    store,
    log,
    isLeader,
    now: () => clock,
    // This test needs the open alerts; a database outage has its own test.
    loadMs: 60_000,
    dispatcher: {
      send: ({ event, severity, notified }: AlertMessage, as) =>
        sent.push(`${name} ${event} ${severity} ${notified}${event === 'resolved' ? ` to ${as}` : ''}`),
      test: async () => [],
      status: () => ({}),
      close: async () => {},
    },
  });
}
const saved = () => eventually(() => expect(writer.status()).toMatchObject({ state: 'ok', pending: 0 }));

test('an alert survives a change of leader and a restart: nothing is sent twice, repeats keep their pace', async () => {
  let leader = 'a';
  const a = agent('a', () => leader === 'a');
  const b = agent('b', () => leader === 'b');
  const evaluate = async (agents: (typeof a)[], p95Ms: number) => {
    for (const one of agents) await one.evaluate(summary(p95Ms));
    await saved();
    return sent.splice(0);
  };
  expect(await evaluate([a, b], 600)).toEqual(['a raised critical 1']);
  const [{ id } = { id: '' }] = a.firing();
  const repeats: string[] = [];
  for (let minute = 1; minute <= 7; minute++) {
    clock += MINUTE;
    repeats.push(...(await evaluate([a, b], 600)));
  }
  expect(repeats).toEqual(['a repeated critical 2', 'a repeated critical 3']);
  expect(b.firing()).toMatchObject([{ id, notified: 3 }]);
  // One minute after the last repeat, agent a is gone.
  leader = 'b';
  expect(await evaluate([a, b], 600)).toEqual([]);
  expect(b.firing()).toMatchObject([{ id, notified: 3 }]);
  clock += MINUTE;
  expect(await evaluate([a, b], 600)).toEqual([]);
  // Agent b restarts.
  const again = agent('b', () => true);
  expect(await evaluate([again], 600)).toEqual([]);
  clock += MINUTE;
  expect(await evaluate([again], 600)).toEqual(['b repeated critical 4']);
  expect(again.acknowledge(id, 'ada')).toMatchObject({ acknowledgedBy: 'ada' });
  await saved();
  const third = agent('c', () => true);
  clock += 30 * MINUTE;
  expect(await evaluate([third], 600)).toEqual([]);
  expect(await evaluate([third], 1_200)).toEqual(['c escalated emergency 1']);
  expect([...(await evaluate([third], 10)), ...(await evaluate([third], 10))]).toEqual([
    'c resolved emergency 1 to critical,emergency',
  ]);
  expect(await evaluate([agent('d', () => true)], 10)).toEqual([]);
});

test('an acknowledgement given to the standby counts for the severity it showed and changes nothing else', async () => {
  const leader = agent('a', () => true);
  const standby = agent('b', () => false);
  const evaluate = async (one: typeof leader, p95Ms: number) => {
    await one.evaluate(summary(p95Ms));
    await saved();
    clock += MINUTE;
  };
  await evaluate(leader, 450);
  await evaluate(standby, 450);
  const [{ id } = { id: '' }] = standby.firing();
  const row = async () => (await createAlertStore(database, writer).recent(100)).find((one) => one.id === id);
  await evaluate(leader, 600);
  standby.acknowledge(id, 'ada');
  await saved();
  expect(await row()).toMatchObject({ severity: 'critical', threshold: 500, acknowledgedBy: null });
  await evaluate(standby, 600);
  standby.acknowledge(id, 'ada');
  await saved();
  sent.splice(0);
  for (let minute = 0; minute < 5; minute++) await evaluate(leader, 600);
  expect(sent.splice(0)).toEqual([]);
  expect(leader.firing()).toMatchObject([{ id, severity: 'critical', acknowledgedBy: 'ada' }]);
  await evaluate(leader, 10);
  await evaluate(leader, 10);
  standby.acknowledge(id, 'eve');
  await saved();
  expect(await row()).toMatchObject({ state: 'resolved', acknowledgedBy: 'ada' });
  sent.splice(0);
});

test('a silence applies from the first evaluation of a new agent', async () => {
  const first = agent('a', () => true);
  first.addSilence({
    rule: 'p95Ms',
    service: '',
    until: clock + 60 * MINUTE,
    reason: 'move',
    createdBy: 'ada',
  });
  await first.evaluate(summary(600));
  await saved();
  const store = createAlertStore(database, writer);
  const late: AlertStore = {
    ...store,
    async silences(now) {
      const found = await store.silences(now);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return found;
    },
  };
  await eventually(async () => expect(await store.silences(clock)).toHaveLength(1));
  const second = agent('b', () => true, late);
  await second.evaluate(summary(600));
  expect(sent.splice(0)).toEqual([]);
  expect(second.firing()).toHaveLength(1);
});
