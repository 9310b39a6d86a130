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
/** Ended, be it that nobody has taken note of it yet. */
const hasEnded = (process: number) => {
  try {
    return / Z /.test(readFileSync(`/proc/${process}/stat`, 'utf8'));
  } catch {
    return true;
  }
};
const LONG_MS = 600_000;

test('what it leaves behind is not waited for, and goes on', async () => {
  await script('sleep 600 & echo $! > "$1"', LONG_MS);
  expect(hasEnded(pid())).toBe(false);
  process.kill(pid());
  await expect(script('sleep 600 & echo $! > "$1"; echo why >&2; exit 3', LONG_MS)).rejects.toThrow(
    /exited with 3: why/,
  );
  process.kill(pid());
});

test('when its time is over, all that it started ends', async () => {
  // Once more where it was given no time to begin.
  for (const limitMs of [500, 5_000, 30_000]) {
    await expect(script('sleep 600 & echo $! > "$1"; wait', limitMs)).rejects.toThrow(
      `was ended by SIGKILL (limit ${limitMs} ms)`,
    );
    if (existsSync(join(folder, 'pid'))) break;
  }
  await eventually(() => expect(hasEnded(pid())).toBe(true));
});
