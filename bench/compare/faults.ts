import { setTimeout as sleep } from 'node:timers/promises';
import type { Fleet } from './fleet.ts';
import type { FaultyHost } from './namespace.ts';

/** One row of the comparison: what goes wrong with a fleet, for how long, and how it is put right again. */
export interface Fault {
  readonly id: string;
  readonly title: string;
  /** Resolves when the fault is over and the fleet is whole again. */
  run(fleet: Fleet, durationMs: number, host: FaultyHost | undefined): Promise<void>;
  readonly needsNamespace?: boolean;
}

const inside = (id: string, title: string, fault: Parameters<Fleet['setFault']>[1]): Fault => ({
  id,
  title,
  async run(fleet, durationMs) {
    fleet.setFault(0, fault);
    await sleep(durationMs);
    fleet.setFault(0, {});
  },
});

export const FAULTS: readonly Fault[] = [
  {
    id: 'healthy',
    title: 'no fault',
    run: async (_, durationMs) => sleep(durationMs),
  },
  {
    id: 'hung',
    title: 'hung (SIGSTOP)',
    async run(fleet, durationMs) {
      fleet.signal(0, 'SIGSTOP');
      await sleep(durationMs);
      fleet.signal(0, 'SIGCONT');
    },
  },
  inside('slow', '800 ms slower', { delayMs: 800 }),
  inside('stall', '10 % of requests stall 12 s', { stallShare: 0.1, stallMs: 12_000 }),
  inside('reset', 'resets the connection of 30 % of requests', { resetShare: 0.3 }),
  inside('errors', '50 % answers 500', { errorShare: 0.5 }),
  {
    id: 'kill',
    title: '`kill -9`',
    async run(fleet, durationMs) {
      fleet.signal(0, 'SIGKILL');
      await sleep(durationMs);
      await fleet.restart(0);
    },
  },
  {
    id: 'flapping',
    title: 'flapping (hung 2 s, well 3 s)',
    async run(fleet, durationMs) {
      for (let left = durationMs; left > 0; left -= 5_000) {
        fleet.signal(0, 'SIGSTOP');
        await sleep(2_000);
        fleet.signal(0, 'SIGCONT');
        await sleep(3_000);
      }
    },
  },
  inside('refused', 'port refused', { refuse: true }),
  {
    id: 'black-hole',
    title: 'black hole (packets dropped)',
    needsNamespace: true,
    async run(_, durationMs, host) {
      host?.drop();
      await sleep(durationMs);
      host?.restore();
    },
  },
  inside('slow-accept', 'slow accept (2 s a connection)', { acceptDelayMs: 2_000 }),
  inside('truncated', '30 % of bodies truncated', { truncateShare: 0.3 }),
  {
    id: 'half',
    title: 'half of the instances hung at once',
    async run(fleet, durationMs) {
      const half = [...fleet.instances.keys()].slice(0, Math.floor(fleet.instances.length / 2));
      for (const index of half) fleet.signal(index, 'SIGSTOP');
      await sleep(durationMs);
      for (const index of half) fleet.signal(index, 'SIGCONT');
    },
  },
  {
    id: 'rolling',
    title: 'rolling restart (SIGTERM, no drain)',
    async run(fleet, durationMs) {
      const pause = durationMs / fleet.instances.length;
      for (const index of fleet.instances.keys()) {
        await fleet.end(index);
        await sleep(pause / 2);
        await fleet.restart(index);
        await sleep(pause / 2);
      }
    },
  },
];
