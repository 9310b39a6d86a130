import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../../dev/ports.ts';
import type { InstanceCommand, InstanceFault, ServedReport } from './instance.ts';
import type { FaultyHost } from './namespace.ts';

/** The instances of one contender. Instance 0 is the one that faults strike first. */
export interface Fleet {
  readonly instances: readonly { id: string; host: string; port: number }[];
  /** Applies a fault inside the process. */
  setFault(index: number, fault: InstanceFault): void;
  signal(index: number, signal: NodeJS.Signals): void;
  /** Starts a process again that was killed or has ended. */
  restart(index: number): Promise<void>;
  /** Ends a process as a deployment does: SIGTERM, wait for its end. */
  end(index: number): Promise<void>;
  /** How many POSTs have been received more than once since the last call. */
  repeatedPosts(): Promise<number>;
  stop(): Promise<void>;
}

export interface FleetOptions {
  name: string;
  size: number;
  /** A network namespace for instance 0, for faults below TCP. */
  faultyHost?: FaultyHost | undefined;
}

const PROGRAM = join(import.meta.dirname, 'instance.ts');

export async function startFleet({ name, size, faultyHost }: FleetOptions): Promise<Fleet> {
  const ports = await freePorts(size);
  const places = ports.map((port, index) => ({
    id: `${name}-${index + 1}`,
    host: index === 0 && faultyHost ? faultyHost.address : '127.0.0.1',
    port,
  }));
  const processes: ChildProcess[] = [];
  const posts = new Map<string, number>();

  async function start(index: number): Promise<void> {
    const place = places[index];
    if (!place) throw new Error(`${name} has no instance ${index}`);
    const args = [PROGRAM, place.id, place.host, String(place.port)];
    const [command = process.execPath, ...rest] =
      index === 0 && faultyHost
        ? faultyHost.command([process.execPath, ...args])
        : [process.execPath, ...args];
    const child = spawn(command, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    processes[index] = child;
  }
  await Promise.all(places.map((_, index) => start(index)));

  const processAt = (index: number): ChildProcess => {
    const child = processes[index];
    if (!child) throw new Error(`${name} has no instance ${index}`);
    return child;
  };
  const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

  async function collectPosts(index: number): Promise<void> {
    const child = processAt(index);
    if (hasEnded(child) || !child.connected) return;
    child.send({ kind: 'served' } satisfies InstanceCommand);
    const [report] = (await once(child, 'message')) as [ServedReport];
    for (const id of report.posts) posts.set(id, (posts.get(id) ?? 0) + 1);
  }

  return {
    instances: places,
    setFault: (index, fault) =>
      void processAt(index).send({ kind: 'fault', fault } satisfies InstanceCommand),
    signal: (index, signal) => void processAt(index).kill(signal),
    restart: (index) => start(index),
    async end(index) {
      const child = processAt(index);
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
    async repeatedPosts() {
      for (const index of places.keys()) await collectPosts(index);
      const repeated = [...posts.values()].filter((count) => count > 1).length;
      posts.clear();
      return repeated;
    },
    async stop() {
      for (const child of processes) {
        if (hasEnded(child)) continue;
        child.kill('SIGCONT');
        child.kill('SIGKILL');
        await Promise.race([once(child, 'exit'), sleep(2_000)]);
      }
    },
  };
}
