import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fullPath } from '../bootstrap/run.mjs';

export interface ChildOptions {
  name: string;
  command: string;
  args: readonly string[];
  /** File for the output of the process. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Run as this system user (root only). */
  user?: { uid: number; gid: number };
  /** Signal for an orderly stop. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  onSpawn?: ((child: Child) => void) | undefined;
}

/** Options of every starter. */
export interface StartOptions {
  /** Default: a file in the server's private folder, removed with it. */
  logFile?: string;
  /** Parent of the private folder. Default: the system's temporary folder. */
  parent?: string;
  /** Called when the process exists, before it is ready. */
  onSpawn?: (child: Child) => void;
}

/** A process that we started. We signal no other processes. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** Resolves when the process has ended, with the reason as text. */
  readonly ended: Promise<string>;
  /** The last lines of its log. */
  tail(lines?: number): string;
  signal(signal: NodeJS.Signals): void;
  /** Sends the stop signal, and SIGKILL after the grace period. Resolves when the process has ended. */
  stop(graceMs?: number): Promise<void>;
}

/** A started server: its process and its private folder. */
export interface RunningServer {
  child: Child;
  /** Stops the process and removes the private folder. */
  stop(): Promise<void>;
}

let deathSignal: boolean | undefined;

/** With setpriv (util-linux) the kernel ends a child when its parent dies. Without it, the next start cleans up. */
function canSetDeathSignal(): boolean {
  deathSignal ??= spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore' }).status === 0;
  return deathSignal;
}

export async function startChild(options: ChildOptions): Promise<Child> {
  const { stopSignal = 'SIGTERM', user } = options;
  const privileges = canSetDeathSignal()
    ? [
        'setpriv',
        '--pdeathsig',
        stopSignal,
        ...(user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : []),
        '--',
      ]
    : [];
  const [command = options.command, ...args] = [...privileges, options.command, ...options.args];
  const log = openSync(options.logFile, 'a', 0o600);
  const child = spawn(command, args, {
    stdio: ['ignore', log, log],
    env: { ...(options.env ?? process.env), PATH: fullPath() },
    // Own process group: Ctrl-C reaches only the supervisor, which stops the rest in order.
    detached: true,
    ...(options.cwd && { cwd: options.cwd }),
    ...(user && privileges.length === 0 && user),
  });
  closeSync(log);
  await waitForSpawn(child, options.name);
  const watched = watchChild(child, options, stopSignal);
  options.onSpawn?.(watched);
  return watched;
}

function waitForSpawn(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new Error(`${name} could not be started: ${cause.message}`, { cause })),
    );
  });
}

function watchChild(child: ChildProcess, { name, logFile }: ChildOptions, stopSignal: NodeJS.Signals): Child {
  const pid = child.pid ?? 0;
  let running = true;
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      running = false;
      killGroup(pid);
      resolve(signal ? `${name} was terminated by ${signal}` : `${name} ended with exit code ${code}`);
    });
  });
  const self: Child = {
    name,
    pid,
    get running() {
      return running;
    },
    ended,
    tail: (lines = 8) => readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n'),
    signal: (signal) => void (running && child.kill(signal)),
    async stop(graceMs = 10_000) {
      if (!running) return;
      child.kill(stopSignal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
  return self;
}

/** Kills the rest of the process group: workerd would otherwise keep the port of a killed edge. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is empty.
  }
}

/** Waits until `ready` returns true. Throws with the end of the log when the process ends or the timeout expires. */
export async function waitUntilReady(
  child: Child,
  ready: () => Promise<boolean>,
  { timeoutMs = 30_000, everyMs = 25 } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (!child.running) throw new Error(`${await child.ended}:\n${child.tail()}`);
    if (await ready().catch(() => false)) return;
    if (Date.now() > deadline) {
      await child.stop();
      throw new Error(`${child.name} was not ready within ${timeoutMs / 1000} s:\n${child.tail()}`);
    }
    await sleep(everyMs);
  }
}
