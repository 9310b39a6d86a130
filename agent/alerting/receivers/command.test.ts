import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/eventually.ts';
import type { AlertMessage } from '../message.ts';
import { commandReceiver } from './command.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-command-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const message = { id: 'a1' } as AlertMessage;
const script = (text: string, timeoutMs: number) =>
  commandReceiver(['/bin/sh', '-c', text, 'sh', join(folder, 'pid')], timeoutMs)(message);
const pid = () => Number(readFileSync(join(folder, 'pid'), 'utf8'));
/** A zombie has exited too. */
const hasEnded = (process: number) => {
  try {
    return / Z /.test(readFileSync(`/proc/${process}/stat`, 'utf8'));
  } catch {
    return true;
  }
};
const LONG_MS = 600_000;

test('a process left behind keeps running and delays nothing', async () => {
  await script('sleep 600 & echo $! > "$1"', LONG_MS);
  expect(hasEnded(pid())).toBe(false);
  process.kill(pid());
  await expect(script('sleep 600 & echo $! > "$1"; echo why >&2; exit 3', LONG_MS)).rejects.toThrow(
    /exited with code 3: why/,
  );
  process.kill(pid());
});

test('a timeout kills the command and every process it started', async () => {
  // Retries with more time when the script was killed before it began.
  for (const limitMs of [500, 5_000, 30_000]) {
    await expect(script('sleep 600 & echo $! > "$1"; wait', limitMs)).rejects.toThrow(
      `killed by SIGKILL (timeout ${limitMs} ms)`,
    );
    if (existsSync(join(folder, 'pid'))) break;
  }
  await eventually(() => expect(hasEnded(pid())).toBe(true));
});
