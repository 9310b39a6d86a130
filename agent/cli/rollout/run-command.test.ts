import { expect, test } from 'vitest';
import { runCommand } from './run-command.ts';

async function run(script: string, timeoutMs: number | null, signal = new AbortController().signal) {
  const lines: string[] = [];
  const onLine = (line: string): void => void lines.push(line);
  const command = ['sh', '-c', script];
  const failure = await runCommand({ command, env: { ACGS_INSTANCE: 'gs-1' }, signal, timeoutMs, onLine });
  return { failure, lines };
}

test('a command has the environment, and its failure is named', async () => {
  expect(await run('echo "$ACGS_INSTANCE"', 60_000)).toEqual({ failure: null, lines: ['gs-1'] });
  expect((await run('exit 3', null)).failure).toBe('the command failed with exit code 3');
  const absent = { command: ['/absent'], env: {}, timeoutMs: null, onLine: () => {} };
  const { signal } = new AbortController();
  expect(await runCommand({ ...absent, signal })).toContain('cannot be started');
});

test('a command that hangs ends at its timeout, and on an abort', async () => {
  expect((await run('exec sleep 60', 50)).failure).toBe('the command did not end within 50ms');
  expect((await run('exec sleep 60', null, AbortSignal.timeout(50))).failure).toBe(
    'the command was ended by SIGTERM',
  );
});
