import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fullPath } from '../bootstrap/run.mjs';

export interface ChildOptions {
  name: string;
  command: string;
  args: readonly string[];
  /** Everything the process prints goes here. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Run as this system user (root only). */
  user?: { uid: number; gid: number };
  /** What asks this program to end in good order. */
  stopSignal?: NodeJS.Signals;
  onSpawn?: ((child: Child) => void) | undefined;
}

/** What every starter takes. */
export interface StartOptions {
  /** In the server's private folder, and gone with it, when absent. */
  logFile?: string;
  /** Where the private folder is made: the system's temporary folder when absent. */
  parent?: string;
  /** Told of the process as soon as there is one, long before it is ready. */
  onSpawn?: (child: Child) => void;
}

/** A process we started, and the only one we end. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** Resolves when it has ended, with what a person would want to read about it. */
  readonly ended: Promise<string>;
  /** Its log's last lines. */
  tail(lines?: number): string;
  signal(signal: NodeJS.Signals): void;
  /** Asks, waits, then kills. Resolves when it is gone. */
  stop(graceMs?: number): Promise<void>;
}

/** A started server, with what it owns beside its process. */
export interface RunningServer {
  child: Child;
  /** Ends it and removes its private folder. */
  stop(): Promise<void>;
}

let deathSignal: boolean | undefined;

/** util-linux's setpriv lets the kernel end a child whose parent was killed; without it the next start cleans up. */
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
    // Its own process group: Ctrl-C in a terminal reaches only the one that stops the rest in order.
    detached: true,
    ...(options.cwd && { cwd: options.cwd }),
    ...(user && privileges.length === 0 && user),
  });
  closeSync(log);
  await started(child, options.name);
  const watching = watched(child, options, stopSignal);
  options.onSpawn?.(watching);
  return watching;
}

function started(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new Error(`${name} could not be started: ${cause.message}`, { cause })),
    );
  });
}

function watched(child: ChildProcess, { name, logFile }: ChildOptions, stopSignal: NodeJS.Signals): Child {
  const pid = child.pid ?? 0;
  let running = true;
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      running = false;
      endGroup(pid);
      resolve(signal ? `${name} was ended by ${signal}` : `${name} ended with exit code ${code}`);
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

/** Ends what a killed process left in its group: Miniflare's workerd would go on holding the edge's port. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing was left.
  }
}

/** Waits until `ready` holds. Throws, with the log's end, when the process ends first or the time is over. */
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
