import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface CommandRun {
  command: readonly string[];
  /** Added to the environment. */
  env: { [name: string]: string };
  signal: AbortSignal;
  onLine(line: string): void;
}

/** Runs a program without a shell. Null: it ended with 0; else how it failed. An abort ends it with SIGTERM. */
export async function runCommand({ command, env, signal, onLine }: CommandRun): Promise<string | null> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const output = [forEachLine(child.stdout, onLine), forEachLine(child.stderr, onLine)];
  const failure = await new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(`the command cannot be started: ${error.message}`));
    child.once('exit', (code, killed) => {
      if (code === 0) return resolve(null);
      resolve(killed ? `the command was ended by ${killed}` : `the command failed with exit code ${code}`);
    });
  });
  signal.removeEventListener('abort', stop);
  // A program that the command leaves behind may hold the output open.
  await Promise.race([Promise.all(output), new Promise((resolve) => setTimeout(resolve, OUTPUT_WAIT_MS))]);
  child.stdout.destroy();
  child.stderr.destroy();
  return failure;
}

const OUTPUT_WAIT_MS = 1_000;

async function forEachLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream })) onLine(line);
}
