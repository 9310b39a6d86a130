import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPostgres } from '../../agent/cli/doctor/stores.ts';
import { createPostgresSink } from '../../agent/sinks/postgres.ts';
import type { Update } from '../../agent/sinks/sink.ts';
import { type Database, openDatabase } from '../../agent/sql/database.ts';
import { migrate } from '../../agent/sql/migrate.ts';
import { postgresMend } from '../../agent/sql/words.ts';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { startStandby } from '../../dev/servers/postgres-standby.ts';
import { eventually } from '../harness/eventually.ts';
import { doctorFacts } from '../harness/facts.ts';

const pool = { min: 0, max: 4, idle: 10_000 };
let primary: PostgresServer;
let standby: PostgresServer;
let stateDir: string;
const open: Database[] = [];

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-hosts-'));
  primary = await startPostgres();
  standby = await startStandby(primary);
});
afterAll(async () => {
  await Promise.all(open.map((database) => database.close()));
  await standby?.stop();
  await primary?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

const database = (url: string): Database => {
  const opened = openDatabase(url, pool);
  open.push(opened);
  return opened;
};
const password = () => new URL(primary.url).password;
const urlOf = (...ports: number[]) =>
  `postgresql://acgs_lb_user:${password()}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}/acgs_lb`;
const doctor = async (url: string) => (await checkPostgres(doctorFacts({ DATABASE_URL: url })))[0];
const row = (timestamp: number): Update => ({
  ...{ at: timestamp * 1000, instances: new Map(), changes: [] },
  metrics: [
    {
      ...{ serviceType: 'gs', instanceId: 'gs-1', timestamp, responseTime: 0.1, successCount: 1 },
      ...{ failureCount: 0, currentConnections: 0, totalRequests: 1, cpuUsage: 1, memoryUsage: 1 },
    },
  ],
});
const timestamps = async (from: Database): Promise<number[]> => {
  const { rows } = await from.query<{ timestamp: number }>(
    'SELECT timestamp FROM load_balancing_metrics ORDER BY timestamp',
  );
  return rows.map(({ timestamp }) => timestamp);
};

/** The server and every process it made, which are in groups of their own. */
function signalAll({ child: { pid } }: PostgresServer, signal: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  for (const each of [String(pid), ...children]) process.kill(Number(each), signal);
}

test('a server that hangs is left after the time given, and works again when it answers', async () => {
  const one = database(primary.url);
  await one.query('SELECT 1');
  signalAll(primary, 'SIGSTOP');
  try {
    const held = one.transaction((client) => client.query('SELECT 1'), { timeoutMs: 200 });
    await expect(held).rejects.toThrow('no answer within 0.2 s');
    const fresh = database(primary.url).query('SELECT 1');
    await expect(fresh).rejects.toThrow(/timeout/);
    expect(await fresh.catch(postgresMend)).toContain('does not answer');
  } finally {
    signalAll(primary, 'SIGCONT');
  }
  expect((await one.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});

test('a standby alone takes no history, and doctor says what to do', async () => {
  expect(await doctor(urlOf(standby.port))).toMatchObject({
    ...{ state: 'fail', detail: expect.stringContaining('takes no writes') },
    mend: expect.stringContaining('name the primary in DATABASE_URL, or all hosts'),
  });
  await expect(migrate(`${urlOf(standby.port)}?target_session_attrs=read-write`)).rejects.toThrow(/standby/);
  expect(await doctor(`${urlOf(primary.port)}?sslmode=require`)).toMatchObject({
    ...{ state: 'fail', mend: expect.stringContaining('sslmode=disable') },
  });
});

test('of several hosts the one that takes writes is found, before and after a failover, and no row is lost', async () => {
  // The standby first, and one where nobody is.
  const url = urlOf(1, standby.port, primary.port);
  const history = database(url);
  const sink = await createPostgresSink({
    ...{ database: history, migrateUrl: url, stateDir, log: pino({ level: 'silent' }), flushMs: 10 },
  });
  sink.accept(row(1_000));
  await eventually(async () => expect(await timestamps(database(primary.url))).toEqual([1_000]));
  expect(await doctor(url)).toMatchObject({
    state: 'ok',
    detail: expect.stringContaining(`:${primary.port}`),
  });
  await eventually(async () => expect(await timestamps(database(standby.url))).toEqual([1_000]));

  primary.child.signal('SIGKILL');
  await primary.child.ended;
  sink.accept(row(1_010));
  // The first try may still meet the end of an open connection.
  await eventually(() => {
    expect(sink.status()).toMatchObject({ pending: 1 });
    expect(sink.status().lastError).toMatch(/:1: connect ECONNREFUSED.*it is a standby/);
  });
  expect(await doctor(url)).toMatchObject({ state: 'fail', mend: expect.stringContaining('pg_ctl promote') });

  await database(standby.adminUrl).query('SELECT pg_promote()');
  sink.accept(row(1_020));
  await eventually(async () => expect(await timestamps(history)).toEqual([1_000, 1_010, 1_020]));
  await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0, dropped: 0 }));
  await sink.close(1_000);
});
