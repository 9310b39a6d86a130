import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { checkPostgres } from '../../agent/cli/doctor/stores.ts';
import type { Update } from '../../agent/core/sink.ts';
import { createHistorySink } from '../../agent/history/sink.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { postgresErrorHint } from '../../agent/history/sql/error-hints.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { startStandby } from '../../dev/servers/postgres-standby.ts';
import { doctorFacts } from '../harness/doctor-facts.ts';
import { eventually } from '../harness/eventually.ts';
import { startPostgres } from '../harness/postgres.ts';

/** Connections stay open, even on a slow machine. */
const pool = { min: 0, max: 4, idle: 600_000 };
let primary: LocalPostgres;
let standby: LocalPostgres;
let stateDir: string;
const open: Database[] = [];

/** A test stopped the primary: a retry starts with a new one. */
let spent = true;
beforeEach(async () => {
  if (!spent) return;
  await end();
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-hosts-'));
  primary = await startPostgres();
  standby = await startStandby(primary);
  spent = false;
});
afterAll(end);
async function end(): Promise<void> {
  await Promise.all(open.splice(0).map((database) => database.close()));
  await standby?.stop();
  await primary?.stop();
  if (stateDir) rmSync(stateDir, { recursive: true, force: true });
}

const database = (url: string): Database => {
  const opened = openDatabase(url, 'main', pool);
  open.push(opened);
  return opened;
};
const password = () => new URL(primary.url).password;
const urlOf = (...ports: number[]) =>
  `postgresql://acgs_lb_user:${password()}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}/acgs_lb`;
const doctorSays = (url: string, finding: object) =>
  eventually(async () =>
    expect((await checkPostgres(doctorFacts({ DATABASE_URL: url })))[0]).toMatchObject(finding),
  );
const row = (timestamp: number): Update => ({
  at: timestamp * 1000,
  instances: new Map(),
  changes: [],
  metrics: [
    {
      serviceType: 'gs',
      instanceId: 'gs-1',
      timestamp,
      responseTime: 0.1,
      successCount: 1,

      failureCount: 0,
      currentConnections: 0,
      totalRequests: 1,
      cpuUsage: 1,
      memoryUsage: 1,
    },
  ],
});
const timestamps = async (from: Database): Promise<number[]> => {
  const { rows } = await from.query<{ timestamp: number }>(
    'SELECT timestamp FROM load_balancing_metrics ORDER BY timestamp',
  );
  return rows.map(({ timestamp }) => timestamp);
};

/** The server first, so that it forks no more processes, then its processes, which have their own groups. */
function signalAll({ child: { pid } }: LocalPostgres, signal: NodeJS.Signals): void {
  process.kill(pid, signal);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  for (const each of children) {
    try {
      process.kill(Number(each), signal);
    } catch {
      // It has ended.
    }
  }
}

test('a statement to a server that hangs times out; the server is used again when it answers', async () => {
  // With the connection timeout of the agent.
  const url = urlOf(primary.port);
  const one = database(url);
  await eventually(() => one.query('SELECT 1'));
  signalAll(primary, 'SIGSTOP');
  try {
    const held = one.transaction((client) => client.query('SELECT 1'), { timeoutMs: 200 });
    await expect(held).rejects.toThrow('did not answer within 0.2 s');
    const fresh = database(url).query('SELECT 1');
    await expect(fresh).rejects.toThrow(/timeout/);
    expect(await fresh.catch(postgresErrorHint)).toContain('does not answer');
  } finally {
    signalAll(primary, 'SIGCONT');
  }
  await eventually(async () => expect((await one.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]));
});

test('with only a standby no history is written, and doctor gives a hint', async () => {
  await doctorSays(urlOf(standby.port), {
    state: 'fail',
    detail: expect.stringContaining('read-only'),
    mend: expect.stringContaining('name the primary in DATABASE_URL, or all hosts'),
  });
  await eventually(() =>
    expect(migrate(`${urlOf(standby.port)}?target_session_attrs=read-write`, 'main')).rejects.toThrow(
      /standby/,
    ),
  );
  await doctorSays(`${urlOf(primary.port)}?sslmode=require`, {
    state: 'fail',
    mend: expect.stringContaining('sslmode=disable'),
  });
});

test('of several hosts the writable one is found before and after a failover, and no row is lost', async () => {
  spent = true;
  // An unreachable host and the standby come first.
  const url = urlOf(1, standby.port, primary.port);
  const [history, onPrimary, onStandby] = [url, primary.url, standby.url].map(database) as [
    Database,
    Database,
    Database,
  ];
  const sink = await createHistorySink({
    database: history,
    migrateUrl: url,
    stateDir,
    log: pino({ level: 'silent' }),
    flushMs: 10,
  });
  sink.accept(row(1_000));
  await eventually(async () => expect(await timestamps(onPrimary)).toEqual([1_000]));
  await doctorSays(url, { state: 'ok', detail: expect.stringContaining(`:${primary.port}`) });
  await eventually(async () => expect(await timestamps(onStandby)).toEqual([1_000]));
  // The next row must not find a write in progress.
  await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0 }));

  primary.child.signal('SIGKILL');
  await primary.child.ended;
  sink.accept(row(1_010));
  // The first attempt may still fail on an open connection.
  await eventually(() => {
    expect(sink.status()).toMatchObject({ pending: 1 });
    expect(sink.status().lastError).toMatch(/:1: connect ECONNREFUSED.*it is a standby/);
  });
  await doctorSays(url, { state: 'fail', mend: expect.stringContaining('pg_ctl promote') });

  const admin = database(standby.adminUrl);
  await eventually(async () => {
    await admin.query('SELECT pg_promote()').catch(() => {});
    expect((await admin.query('SELECT pg_is_in_recovery() AS standby')).rows).toEqual([{ standby: false }]);
  });
  sink.accept(row(1_020));
  await eventually(async () => expect(await timestamps(history)).toEqual([1_000, 1_010, 1_020]));
  await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0, dropped: 0 }));
  await sink.close(60_000);
});
