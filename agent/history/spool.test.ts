import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSpool, type Spool } from './spool.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-spool-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = (id: string, rows = 1) => ({ id, rows, body: `body of ${id}` });

async function drain(spool: Spool<string>): Promise<string[]> {
  const ids: string[] = [];
  for (let next = await spool.peek(); next; next = await spool.peek()) {
    ids.push(next.id);
    await spool.acknowledge();
  }
  return ids;
}

test('returns records in order across a restart and leaves no files', async () => {
  const first = await openSpool<string>({ folder, segmentBytes: 100 });
  for (const id of ['a', 'b', 'c', 'd']) await first.append(record(id, 3));
  expect((await first.peek())?.id).toBe('a');
  await first.acknowledge();
  const second = await openSpool<string>({ folder, segmentBytes: 100 });
  await second.append(record('e'));
  // "a" is in the segment of "b", so it is returned again; a reader detects that by its id.
  expect(await drain(second)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(second.size()).toMatchObject({ rows: 0, bytes: 0 });
  expect(readdirSync(folder)).toEqual([]);
});

test('keeps the order when records are appended while the oldest segment is read', async () => {
  const spool = await openSpool<string>({ folder });
  await spool.append(record('a'));
  await spool.append(record('b'));
  await spool.peek();
  await spool.append(record('c'));
  await spool.acknowledge();
  await spool.append(record('d'));
  expect(await drain(spool)).toEqual(['b', 'c', 'd']);
});

test('an incomplete write loses only its own record', async () => {
  const first = await openSpool<string>({ folder });
  for (const id of ['a', 'b', 'c']) await first.append(record(id));
  const [name = ''] = readdirSync(folder);
  const path = join(folder, name);
  truncateSync(path, readFileSync(path).length - 4);
  const second = await openSpool<string>({ folder });
  await second.append(record('d'));
  expect(await drain(second)).toEqual(['a', 'b', 'd']);
});

test('a damaged line loses only its own record', async () => {
  const first = await openSpool<string>({ folder });
  await first.append(record('a'));
  const [name = ''] = readdirSync(folder);
  appendFileSync(join(folder, name), '00000000 {"id":"x","rows":1,"body":"forged"}\n\0\0\0\0\n');
  const second = await openSpool<string>({ folder });
  expect(await drain(second)).toEqual(['a']);
});

test('above maxBytes the oldest records are dropped and counted', async () => {
  const spool = await openSpool<string>({ folder, segmentBytes: 100, maxBytes: 300 });
  for (let i = 0; i < 20; i++) await spool.append(record(`r${i}`, 2));
  const { bytes, rows, droppedRows } = spool.size();
  expect(bytes).toBeLessThanOrEqual(300);
  expect(rows + droppedRows).toBe(40);
  expect(droppedRows).toBeGreaterThan(0);
  expect((await drain(spool)).at(-1)).toBe('r19');
});

test('stays readable after a failure of the disk', async () => {
  const spool = await openSpool<string>({ folder });
  rmSync(folder, { recursive: true });
  for (let i = 0; i < 3; i++) await expect(spool.append(record('lost'))).rejects.toThrow('ENOENT');
  mkdirSync(folder);
  await spool.append(record('a'));
  expect(await drain(spool)).toEqual(['a']);
  expect(spool.size()).toMatchObject({ rows: 0, bytes: 0 });
});

test('records that are appended concurrently do not mix', async () => {
  const spool = await openSpool<string>({ folder, segmentBytes: 500 });
  const ids = Array.from({ length: 50 }, (_, index) => `r${index}`);
  await Promise.all(ids.map((id) => spool.append(record(id))));
  expect(await drain(spool)).toEqual(ids);
});
