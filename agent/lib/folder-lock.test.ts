import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFolder } from './folder-lock.ts';

let folder: string;
beforeEach(() => {
  const parent = mkdtempSync(join(tmpdir(), 'acgs-sole-'));
  folder = join(parent, 'a'.repeat(120), 'pglite');
  mkdirSync(folder, { recursive: true });
});
afterEach(() => rmSync(join(folder, '../..'), { recursive: true, force: true }));

test('one holder at a time; the next one after a release', async () => {
  const release = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toThrow(`${folder} is in use by another process`);
  release();
  (await lockFolder(folder))();
});

test('a killed process does not keep the lock', async () => {
  const script = `import { lockFolder } from '${import.meta.dirname}/folder-lock.ts';
await lockFolder(${JSON.stringify(folder)}); console.log('held'); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script]);
  await once(other.stdout, 'data');
  await expect(lockFolder(folder)).rejects.toThrow('in use');
  other.kill('SIGKILL');
  await once(other, 'exit');
  (await lockFolder(folder))();
});

test('of two processes that find the socket of a killed one, one gets the lock', async () => {
  const left = createServer().listen(join(folder, '../../left'));
  await once(left, 'listening');
  // The link remains when its server is closed, like the socket of a killed process.
  linkSync(join(folder, '../../left'), `${folder}.lock`);
  left.close();
  const both = await Promise.allSettled([lockFolder(folder), lockFolder(folder)]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  for (const one of both) if (one.status === 'fulfilled') one.value();
});
