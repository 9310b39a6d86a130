import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { soleUser } from './sole-user.ts';

let folder: string;
beforeEach(() => {
  const parent = mkdtempSync(join(tmpdir(), 'acgs-sole-'));
  folder = join(parent, 'a'.repeat(120), 'pglite');
  mkdirSync(folder, { recursive: true });
});
afterEach(() => rmSync(join(folder, '../..'), { recursive: true, force: true }));

test('one at a time, and the next when the one before lets go', async () => {
  const release = await soleUser(folder);
  await expect(soleUser(folder)).rejects.toThrow(`${folder} is in use by another process`);
  release();
  (await soleUser(folder))();
});

test('a process that was killed holds nothing', async () => {
  const script = `import { soleUser } from '${import.meta.dirname}/sole-user.ts';
await soleUser(${JSON.stringify(folder)}); console.log('held'); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script]);
  await once(other.stdout, 'data');
  await expect(soleUser(folder)).rejects.toThrow('in use');
  other.kill('SIGKILL');
  await once(other, 'exit');
  (await soleUser(folder))();
});

test('of two that find what a killed process left, one holds it', async () => {
  const left = createServer().listen(join(folder, '../../left'));
  await once(left, 'listening');
  // Linked, so that it stays when its server has closed: nobody answers there any more.
  linkSync(join(folder, '../../left'), `${folder}.lock`);
  left.close();
  const both = await Promise.allSettled([soleUser(folder), soleUser(folder)]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  for (const one of both) if (one.status === 'fulfilled') one.value();
});
