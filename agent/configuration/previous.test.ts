import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPreviousConfigs } from './previous.ts';

let stateDir: string;
const folder = () => join(stateDir, 'configurations');

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-previous-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

test('the last five configurations are kept, readable by the owner only', async () => {
  const previous = createPreviousConfigs(stateDir, () => 1_000);
  expect(await previous.latest()).toBeNull();
  for (let n = 1; n <= 8; n++) await previous.activated(`version ${n}`, true);
  await previous.activated('version 8', true);
  expect((await previous.latest())?.text).toBe('version 7');
  const files = readdirSync(folder());
  expect(files).toHaveLength(6);
  for (const file of files) expect(statSync(join(folder(), file)).mode & 0o777, file).toBe(0o600);
  expect(statSync(folder()).mode & 0o777).toBe(0o700);
});

test('each rollback goes one configuration back; the replaced text is kept aside', async () => {
  const previous = createPreviousConfigs(stateDir);
  for (const text of ['one', 'two', 'three']) await previous.activated(text, true);
  const back = async () => {
    const latest = await previous.latest();
    return latest && readFileSync(await previous.rolledBack(latest), 'utf8');
  };
  expect(await back()).toBe('three');
  expect(await back()).toBe('two');
  expect(await back()).toBeNull();
  await previous.activated('four', true);
  expect((await previous.latest())?.text).toBe('one');
});

test('a file that was changed while the agent was stopped counts; a new comment does not', async () => {
  await createPreviousConfigs(stateDir).activated('one', true);
  const restarted = createPreviousConfigs(stateDir);
  await restarted.activated('two', true);
  await restarted.activated('two # comment', false);
  expect((await restarted.latest())?.text).toBe('one');
});
