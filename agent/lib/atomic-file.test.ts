import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readJsonFile, writeFileAtomic } from './atomic-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a file is replaced, readable by its owner only, and no temporary file stays', async () => {
  const path = join(folder, 'state.json');
  expect(await readJsonFile(path)).toBeUndefined();
  await writeFileAtomic(path, '{"v":1}');
  await writeFileAtomic(path, '{"v":2}');
  expect(await readJsonFile(path)).toEqual({ v: 2 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['state.json']);
});

test('a symbolic link stays a link', async () => {
  writeFileSync(join(folder, 'target'), 'old');
  symlinkSync('target', join(folder, 'link'));
  await writeFileAtomic(join(folder, 'link'), 'new', 0o644);
  expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('new');
  expect(statSync(join(folder, 'target')).mode & 0o777).toBe(0o644);
});

test('when a text cannot be written, the old file stays', async () => {
  // A folder in its place makes the last step, the rename, fail.
  await expect(writeFileAtomic(folder, 'text')).rejects.toThrow();
  expect(readdirSync(folder)).toEqual([]);
});

test('a damaged file is named', async () => {
  const path = join(folder, 'state.json');
  writeFileSync(path, '{"v":');
  await expect(readJsonFile(path)).rejects.toThrow(`${path} is damaged`);
});
