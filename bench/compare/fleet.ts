import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../../dev/ports.ts';
import type { InstanceFault, ReceivedPost } from './instance.ts';
import type { FaultyHost } from './namespace.ts';
import { PostCounter } from './post-counter.ts';

/** The instances of one contender. Instance 0 is the one that faults strike first. */
export interface Fleet {
  readonly posts: PostCounter;
  readonly instances: readonly { id: string; host: string; port: number }[];
  /** Applies a fault inside the process. */
  setFault(index: number, fault: InstanceFault): void;
  signal(index: number, signal: NodeJS.Signals): void;
  /** Starts a process again that was killed or has ended. */
  restart(index: number): Promise<void>;
  /** Ends a process as a deployment does: SIGTERM, wait for its end. */
  end(index: number): Promise<void>;
  stop(): Promise<void>;
}

export interface FleetOptions {
  name: string;
  size: number;
  /** Address of the instances. Default: 127.0.0.1. */
  host?: string;
  /** A network namespace for instance 0, for faults below TCP. */
  faultyHost?: FaultyHost | undefined;
  posts?: PostCounter;
}

const PROGRAM = join(import.meta.dirname, 'instance.ts');

export async function startFleet({
  name,
  size,
  host = '127.0.0.1',
  faultyHost,
  posts = new PostCounter(),
}: FleetOptions): Promise<Fleet> {
  const ports = await freePorts(size);
  const places = ports.map((port, index) => ({
    id: `${name}-${index + 1}`,
    host: index === 0 && faultyHost ? faultyHost.address : host,
    port,
  }));
  const processes: ChildProcess[] = [];

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
    child.on('message', ({ post }: ReceivedPost) => posts.add(post));
    processes[index] = child;
  }
  await Promise.all(places.map((_, index) => start(index)));

  const processAt = (index: number): ChildProcess => {
    const child = processes[index];
    if (!child) throw new Error(`${name} has no instance ${index}`);
    return child;
  };
  const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

  return {
    posts,
    instances: places,
    setFault: (index, fault) => void processAt(index).send(fault),
    signal: (index, signal) => void processAt(index).kill(signal),
    restart: (index) => start(index),
    async end(index) {
      const child = processAt(index);
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
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
