import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { durationText } from '../../../shared/config/scalars.ts';

export interface CommandRun {
  command: readonly string[];
  /** Added to the environment. */
  env: { [name: string]: string };
  signal: AbortSignal;
  /** Null: no limit. */
  timeoutMs: number | null;
  onLine(line: string): void;
}

/** Runs a program without a shell. Null: it ended with 0; else how it failed. */
export async function runCommand(run: CommandRun): Promise<string | null> {
  const { command, env, signal, timeoutMs, onLine } = run;
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const release = endWhen(child, signal, timeoutMs);
  const output = [forEachLine(child.stdout, onLine), forEachLine(child.stderr, onLine)];
  const failure = await new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(`the command cannot be started: ${error.message}`));
    child.once('exit', (code, killed) => {
      if (code === 0) return resolve(null);
      resolve(killed ? `the command was ended by ${killed}` : `the command failed with exit code ${code}`);
    });
  });
  const isLate = release();
  // A program that the command leaves behind may hold the output open.
  await Promise.race([Promise.all(output), new Promise((resolve) => setTimeout(resolve, OUTPUT_WAIT_MS))]);
  child.stdout.destroy();
  child.stderr.destroy();
  return isLate ? `the command did not end within ${durationText(timeoutMs ?? 0)}` : failure;
}

const OUTPUT_WAIT_MS = 1_000;
/** After SIGTERM, until SIGKILL. */
const KILL_AFTER_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Ends the child on an abort or after the timeout. Call the result when it has ended: it returns whether it was late. */
function endWhen(child: ChildProcess, signal: AbortSignal, timeoutMs: number | null): () => boolean {
  let isLate = false;
  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGTERM');
    killer ??= setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  };
  const onTimeout = (): void => {
    isLate = true;
    stop();
  };
  const timer = timeoutMs === null ? undefined : setTimeout(onTimeout, Math.min(timeoutMs, MAX_TIMER_MS));
  signal.addEventListener('abort', stop, { once: true });
  return () => {
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
    clearTimeout(killer);
    return isLate;
  };
}

async function forEachLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream })) onLine(line);
}
