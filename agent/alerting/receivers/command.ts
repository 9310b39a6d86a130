import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { DeliverAlert } from './receiver.ts';

const MAX_STDERR = 2_000;
/** For the last words of a program that failed. */
const WORDS_MS = 200;

/**
 * Runs a program with the alert's JSON on its standard input; no shell. Exit code 0 is delivery. What it has started by
 * then may go on; when its time is over all of it ends.
 */
export function commandReceiver(argv: readonly string[], timeoutMs: number): DeliverAlert {
  const [program = '', ...args] = argv;
  return async (message) => {
    // Secrets of the agent are not the program's.
    const { PATH = '', HOME = '', LANG = '' } = process.env;
    // Detached: a group of its own, that can be ended as a whole.
    const child = spawn(program, args, {
      ...{ env: { PATH, HOME, LANG }, detached: true },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-MAX_STDERR);
    });
    // What it started may hold it open for long.
    const silent = once(child.stderr, 'close').catch(() => {});
    // A program that does not read its input is free not to.
    child.stdin.on('error', () => {});
    child.stdin.end(`${JSON.stringify(message)}\n`);
    const late = setTimeout(() => child.pid && endGroup(child.pid), timeoutMs);
    const [code, signal] = await once(child, 'exit').finally(() => clearTimeout(late));
    if (code === 0) return;
    await Promise.race([silent, sleep(WORDS_MS, undefined, { ref: false })]);
    // A timer that is late fires before what has come meanwhile is read.
    await turn();
    const how = signal ? `was ended by ${signal} (limit ${timeoutMs} ms)` : `exited with ${code}`;
    throw new Error(`${program} ${how}${said.trim() ? `: ${said.trim()}` : ''}`);
  };
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
