import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { DeliverAlert } from './receiver.ts';

const MAX_STDERR = 2_000;
/** How long to wait for the error output of a command that failed. */
const STDERR_WAIT_MS = 200;

/**
 * Runs a program with the alert as JSON on its standard input, without a shell. Exit code 0 means delivered. Processes
 * that it leaves behind keep running; after `timeoutMs` it is killed with every process it started.
 */
export function commandReceiver(argv: readonly string[], timeoutMs: number): DeliverAlert {
  const [program = '', ...args] = argv;
  return async (message) => {
    // The program does not get the agent's secrets.
    const { PATH = '', HOME = '', LANG = '' } = process.env;
    const child = spawn(program, args, {
      env: { PATH, HOME, LANG },
      // Its own process group, so that it can be killed as a whole.
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = `${stderr}${text}`.slice(-MAX_STDERR);
    });
    // A process left behind may keep it open.
    const stderrClosed = once(child.stderr, 'close').catch(() => {});
    // The program may exit without reading its input.
    child.stdin.on('error', () => {});
    child.stdin.end(`${JSON.stringify(message)}\n`);
    const timeout = setTimeout(() => child.pid && killGroup(child.pid), timeoutMs);
    const [code, signal] = await once(child, 'exit').finally(() => clearTimeout(timeout));
    if (code === 0) return;
    await Promise.race([stderrClosed, sleep(STDERR_WAIT_MS, undefined, { ref: false })]);
    // An overdue timer fires before pending input is read.
    await setImmediate();
    const result = signal ? `killed by ${signal} (timeout ${timeoutMs} ms)` : `exited with code ${code}`;
    throw new Error(`${program} ${result}${stderr.trim() ? `: ${stderr.trim()}` : ''}`);
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has already exited.
  }
}
