import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../test/harness/eventually.ts';
import type { HistoryRecord } from './records.ts';
import { openSpool, type Spool } from './spool.ts';
import type { Database } from './sql/database.ts';
import { createHistoryWriter, type HistoryWriter } from './writer.ts';

let folder: string;
let spool: Spool<HistoryRecord[]>;
let writer: HistoryWriter;
/** Kinds of the written events in order. A batch id that is already known is not written again. */
let arrived: string[];
let answer: 'yes' | 'no' | 'never';
let logged: string;
/** Number of transactions that hang. */
let hanging: number;
/** Postgres rejects this row permanently, and becomes unavailable `outages` times right after. */
let unwritable: { name: string; outages: number } | undefined;

beforeEach(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'acgs-writer-')), 'spool');
  spool = await openSpool({ folder });
  arrived = [];
  answer = 'yes';
  logged = '';
  hanging = 0;
  unwritable = undefined;
});
afterEach(async () => {
  answer = 'yes';
  await writer.close(60_000);
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

type RunStatement = (
  transaction: { batch: unknown; names: string[] },
  text: string,
  values?: readonly unknown[],
) => Promise<{ rows: []; rowCount: number }>;

function rejectUnwritable(names: readonly string[]): void {
  if (!unwritable || !names.includes(unwritable.name)) return;
  if (names.length === 1 && unwritable.outages-- > 0) answer = 'no';
  throw Object.assign(new Error('invalid'), { code: '22P02' });
}

/** A database that behaves as `answer` says and commits whole batches. */
function database(): Database {
  const known = new Set<unknown>();
  const runStatement: RunStatement = async (transaction, text, values) => {
    if (text.includes('spool_batches')) {
      transaction.batch = values?.[1];
      return { rows: [], rowCount: known.has(transaction.batch) ? 0 : 1 };
    }
    const rows = JSON.parse(String(values?.[0])) as { kind: string }[];
    transaction.names.push(...rows.map(({ kind }) => kind));
    rejectUnwritable(transaction.names);
    return { rows: [], rowCount: rows.length };
  };
  return {
    site: 'main',
    query: () => Promise.reject(new Error('not expected')),
    close: async () => {},
    async transaction(work) {
      if (answer === 'no') throw new Error('connect ECONNREFUSED');
      const transaction = { batch: undefined as unknown, names: [] as string[] };
      const result = await work({
        site: 'main',
        query: (text, values) => runStatement(transaction, text, values),
      });
      if (answer === 'never') hanging += 1;
      while (answer === 'never') await new Promise((resolve) => setTimeout(resolve, 10));
      known.add(transaction.batch);
      arrived.push(...transaction.names);
      return result;
    },
  };
}

function open(prepare?: () => Promise<void>): void {
  const write = (line: string): void => {
    logged += line;
  };
  const log = pino({ level: 'info' }, { write });
  writer = createHistoryWriter({
    database: database(),
    spool,
    log,
    flushMs: 1,
    prepareTimeoutMs: 200,
    ...(prepare && { prepareSchema: prepare }),
  });
}

const event = (kind: string): HistoryRecord => ({ table: 'state_events', row: { kind } });
const onDisk = () => (existsSync(folder) ? readdirSync(folder).length : 0);
/** Without its folder no file can be created, even by root. */
const removeFolder = () => rm(folder, { recursive: true });

test('rows wait in memory while neither Postgres nor the disk accepts them', async () => {
  open();
  answer = 'no';
  await removeFolder();
  writer.write([event('a')]);
  await eventually(() =>
    expect(writer.status()).toMatchObject({
      pending: 1,
      lastError: expect.stringContaining('spool: ENOENT'),
    }),
  );
  writer.write([event('b')]);
  expect(logged).toContain('the spool is not writable');
  answer = 'yes';
  await eventually(() => expect(arrived).toEqual(['a', 'b']));
  const healthy = { state: 'ok', pending: 0, dropped: 0, lastError: null };
  await eventually(() => expect(writer.status()).toMatchObject(healthy));
});

test('when the disk fails, rows from the spool and from memory are written in order', async () => {
  open();
  answer = 'no';
  writer.write([event('a')]);
  await eventually(() => expect(onDisk()).toBe(1));
  const append = spool.append;
  spool.append = () => Promise.reject(new Error('ENOSPC: no space left on device, write'));
  writer.write([event('b')]);
  await eventually(() => expect(writer.status().lastError).toContain('ENOSPC'));
  answer = 'yes';
  await eventually(() => expect(arrived).toEqual(['a', 'b']));
  spool.append = append;
});

test('the spool is used again after a failure of the disk', async () => {
  open();
  answer = 'no';
  await removeFolder();
  writer.write([event('a')]);
  await eventually(() => expect(writer.status().lastError).toContain('ENOENT'));
  await mkdir(folder);
  await eventually(() => expect(onDisk()).toBe(1));
  answer = 'yes';
  await eventually(() => expect(arrived).toEqual(['a']));
  await eventually(() => expect(onDisk()).toBe(0));
});

test('while migrations run, rows go to the spool', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  open(() => promise);
  writer.write([event('a')]);
  await eventually(() => expect(onDisk()).toBe(1));
  expect(writer.status()).toMatchObject({ state: 'retrying', lastError: expect.stringContaining('schema') });
  resolve();
  await eventually(() => expect(arrived).toEqual(['a']));
});

test('the cause of a slow failed migration is logged once', async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  let mayRun = false;
  open(() => (mayRun ? Promise.resolve() : promise));
  writer.write([event('a')]);
  await eventually(() => expect(logged).toContain('migration is still running'));
  reject(new Error('permission denied'));
  await eventually(() => expect(logged).toContain('permission denied'));
  mayRun = true;
  await eventually(() => expect(arrived).toEqual(['a']));
  expect(logged.split('permission denied')).toHaveLength(2);
});

test('a row that Postgres rejects is counted once, also when the rest of its batch is retried', async () => {
  open();
  unwritable = { name: 'a', outages: 2 };
  writer.write([event('a'), event('b')]);
  for (let outage = 0; outage < 2; outage++) {
    await eventually(() => expect(answer).toBe('no'));
    answer = 'yes';
  }
  await eventually(() => expect(arrived).toEqual(['b']));
  expect(writer.status().dropped).toBe(1);
});

test('closing while a replay hangs loses no row', async () => {
  for (const name of ['a', 'b']) await spool.append({ id: name, rows: 1, body: [event(name)] });
  open();
  answer = 'never';
  writer.write([]);
  await eventually(() => expect(hanging).toBeGreaterThan(0));
  writer.write([event('c')]);
  await writer.close(100);
  answer = 'yes';
  await eventually(() => expect(arrived).toContain('a'));
  // Time for whatever the end of the hanging transaction triggers.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const next = await openSpool<HistoryRecord[]>({ folder });
  const kept: string[] = [];
  for (let record = await next.peek(); record; record = await next.peek()) {
    kept.push(...record.body.map(({ row }) => String(row.kind)));
    await next.acknowledge();
  }
  expect(new Set([...arrived, ...kept])).toEqual(new Set(['a', 'b', 'c']));
});
