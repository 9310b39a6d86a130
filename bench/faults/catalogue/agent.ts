import { cpSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { agentService } from '../../../dev/stack/services.ts';
import { type Bed, corruptFiles } from '../bed.ts';
import {
  killVictim,
  type MatrixFault,
  restartVictim,
  sinkReported,
  victimReported,
} from '../matrix-fault.ts';
import { Part } from '../part.ts';
import { useUpDescriptors } from '../processes.ts';

const KILLED_POST = 'A POST that the killed instance had received.';

/** An instance dies while another part has failed. The failover must still work. */
const whileKilled = (
  fault: Pick<MatrixFault, 'name' | 'area' | 'title' | 'start' | 'stop'> & Partial<MatrixFault>,
): MatrixFault => ({
  ...fault,
  title: `${fault.title}, and an instance is killed`,
  strikes: 'victim',
  async start(bed, victim) {
    await fault.start(bed, victim);
    await sleep(1_000);
    await killVictim(bed, victim);
  },
  async stop(bed, victim) {
    await restartVictim(bed, victim);
    await fault.stop(bed, victim);
  },
  allowed: { other: 5, ...fault.allowed },
  reason: fault.reason ?? KILLED_POST,
});

const moveClock = (bed: Bed, offset: string): void => {
  if (!bed.clockFile) throw new Error('needs the Debian package faketime');
  writeFileSync(bed.clockFile, offset);
};

const clock = (name: string, title: string, offset: string): MatrixFault =>
  whileKilled({
    name,
    area: 'agent',
    title,
    bed: 'faketime',
    start: (bed) => moveClock(bed, offset),
    stop: (bed) => moveClock(bed, '+0'),
    detected: victimReported,
  });

const publishing = (name: string, title: string, fault: Parameters<Bed['relay']['set']>[0]): MatrixFault =>
  whileKilled({
    name,
    area: 'KV and Hub',
    title,
    start: ({ relay }) => relay.set(fault),
    stop: ({ relay }) => relay.set({ kind: 'ok' }),
    detected: sinkReported('snapshot'),
  });

/** The clients move to an edge that has just started. `prepare` fills its storage and returns further arguments. */
const coldEdge = (
  name: string,
  title: string,
  prepare: (bed: Bed, folder: string) => readonly string[],
  more: Partial<MatrixFault> = {},
): MatrixFault => ({
  name,
  area: 'cold isolates',
  title,
  start: (bed) => bed.moveToColdEdge((folder) => prepare(bed, folder)),
  stop: (bed) => bed.moveBack(),
  ...more,
});

const WITHOUT_SNAPSHOT: Partial<MatrixFault> = {
  allowed: { pins: 400 },
  reason:
    'Without a snapshot the edge does not know the instances. HAProxy balances, so sessions move until a snapshot arrives.',
};

function copyKv(bed: Bed, folder: string): void {
  cpSync(join(bed.edgeFolder, 'kv'), join(folder, 'kv'), { recursive: true });
}

let giveBack = (): void => {};

export const AGENT_FAULTS: readonly MatrixFault[] = [
  {
    name: 'agent-killed',
    area: 'agent',
    title: 'killed, started again after 6 s',
    start: ({ node }) => node.agent.kill(),
    stop: async ({ node }) => void (await node.agent.start()),
  },
  whileKilled({
    name: 'agent-killed-with-instance',
    area: 'agent',
    title: 'killed',
    start: ({ node }) => node.agent.kill(),
    stop: async ({ node }) => void (await node.agent.start()),
  }),
  whileKilled({
    name: 'agent-paused',
    area: 'agent',
    title: 'hung (SIGSTOP) for 60 s',
    forMs: 59_000,
    start: ({ node }) => node.agent.signal('SIGSTOP'),
    stop: ({ node }) => node.agent.signal('SIGCONT'),
  }),
  whileKilled({
    name: 'agent-started-twice',
    area: 'agent',
    title: 'started a second time',
    async start({ node, site }) {
      const { layout } = node.context;
      const stateDir = join(layout.stateDir, 'agent');
      const second = new Part(agentService({ ...node.context, layout: { ...layout, stateDir } }, site.urls));
      // Its API seems ready because the first agent answers.
      await second.start().catch(() => null);
      await sleep(3_000);
      if (!second.running) return;
      await second.kill();
      throw new Error('the second agent runs beside the first');
    },
    stop: () => {},
  }),
  whileKilled({
    name: 'agent-descriptors-used-up',
    area: 'agent',
    title: 'no file descriptor left',
    start: ({ node }) => {
      giveBack = useUpDescriptors(node.agent.pid);
    },
    stop: () => giveBack(),
  }),
  whileKilled({
    name: 'agent-disk-full',
    area: 'agent',
    title: 'no space left for its state and its spool, Postgres killed',
    async start({ site }) {
      if (!site.smallStateDir) throw new Error('needs root: a small file system for the state');
      await site.postgres.kill();
      const { bavail, bsize } = statfsSync(site.smallStateDir);
      try {
        writeFileSync(join(site.smallStateDir, 'filler'), Buffer.alloc(bavail * bsize));
      } catch {
        // The disk is full now.
      }
    },
    async stop({ site }) {
      rmSync(join(site.smallStateDir ?? '', 'filler'), { force: true });
      await site.postgres.start();
    },
    detected: sinkReported('postgres'),
  }),
  clock('agent-clock-ahead', 'clock one hour ahead', '+3600'),
  clock('agent-clock-behind', 'clock one hour behind', '-3600'),
  whileKilled({
    name: 'agents-leader-killed',
    area: 'two agents',
    title: 'the leader is killed',
    bed: 'two-agents',
    start: async (bed) => (await bed.leader()).agent.kill(),
    async stop({ site }) {
      for (const { agent } of site.nodes) if (!agent.running) await agent.start();
    },
  }),
  {
    name: 'agents-two-leaders',
    area: 'two agents',
    title: 'the leader is paused until the other has taken over, then resumed',
    bed: 'two-agents',
    forMs: 20_000,
    async start(bed) {
      (await bed.leader()).agent.signal('SIGSTOP');
    },
    stop({ site }) {
      for (const { agent } of site.nodes) agent.signal('SIGCONT');
    },
  },
  {
    name: 'agents-one-haproxy-killed',
    area: 'two agents',
    title: 'one of two HAProxies is killed',
    bed: 'two-agents',
    start: ({ node }) => node.haproxy.kill(),
    stop: async ({ node }) => void (await node.haproxy.start()),
    detected: sinkReported('haproxy'),
    allowed: { other: 5 },
    reason: 'A POST that HAProxy had received when it was killed.',
  },
  whileKilled({
    name: 'agents-redis-killed',
    area: 'two agents',
    title: 'Redis, which holds the lease, is killed',
    bed: 'two-agents',
    start: ({ site }) => site.redis.kill(),
    stop: async ({ site }) => void (await site.redis.start()),
    detected: sinkReported('redis'),
  }),
];

export const SNAPSHOT_FAULTS: readonly MatrixFault[] = [
  publishing('publish-refused', 'publishing is refused', { kind: 'down' }),
  publishing('publish-hung', 'publishing gets no answer', { kind: 'hung' }),
  publishing('publish-slow', 'publishing takes 3 s', { kind: 'slow', ms: 3_000 }),
  publishing('publish-corrupted', 'snapshots are corrupted on their way', { kind: 'corrupted' }),
  publishing('publish-replayed', 'an old snapshot is replayed after each new one', { kind: 'replayed' }),
  coldEdge('edge-cold-empty', 'no snapshot in KV and Hub', () => [], WITHOUT_SNAPSHOT),
  coldEdge('edge-cold-kv', 'snapshot in KV alone', (bed, folder) => {
    copyKv(bed, folder);
    return [];
  }),
  coldEdge(
    'edge-cold-kv-down',
    'KV fails, the Hub is empty',
    (bed, folder) => {
      copyKv(bed, folder);
      return ['--kv-down'];
    },
    WITHOUT_SNAPSHOT,
  ),
  coldEdge(
    'edge-cold-kv-corrupted',
    'the snapshot in KV is corrupted, the Hub is empty',
    (bed, folder) => {
      copyKv(bed, folder);
      corruptFiles(folder);
      return [];
    },
    WITHOUT_SNAPSHOT,
  ),
  coldEdge('edge-cold-kv-stale', 'KV returns old values for 60 s', (bed, folder) => {
    copyKv(bed, folder);
    return ['--kv-lag-ms', '60000'];
  }),
  {
    name: 'edge-cold-haproxy-killed',
    area: 'cold isolates',
    title: 'snapshot in KV alone, HAProxy is killed',
    async start(bed) {
      await bed.moveToColdEdge((folder) => {
        copyKv(bed, folder);
        return [];
      });
      await bed.node.haproxy.kill();
    },
    async stop(bed) {
      await bed.node.haproxy.start();
      await bed.moveBack();
    },
    detected: sinkReported('haproxy'),
    allowed: { other: 60 },
    reason: 'A POST without an `Idempotency-Key` always goes through a gateway.',
  },
];
