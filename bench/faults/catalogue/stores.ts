import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import type { Bed } from '../bed.ts';
import { killVictim, type MatrixFault, restartVictim, sinkReported } from '../matrix-fault.ts';

async function redisCommands(
  { site }: Bed,
  ...commands: readonly (readonly [string, ...string[]])[]
): Promise<void> {
  const redis = new Redis(site.urls.redis ?? '', { maxRetriesPerRequest: 1 });
  redis.on('error', () => {});
  try {
    for (const [name, ...args] of commands) await redis.call(name, ...args);
  } finally {
    redis.disconnect();
  }
}

async function postgresAdmin({ site }: Bed): Promise<Client> {
  const url = new URL(site.urls.postgres ?? '');
  const client = new Client({
    host: url.hostname,
    port: Number(url.port),
    user: 'postgres',
    password: url.password,
    database: 'acgs_lb',
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function postgresCommands(bed: Bed, ...commands: readonly string[]): Promise<void> {
  const client = await postgresAdmin(bed);
  try {
    for (const command of commands) await client.query(command);
  } finally {
    await client.end();
  }
}

const CLOSE_OTHERS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'acgs_lb_user'`;

/** Connections that a fault holds until it stops. */
const held: Client[] = [];

async function holdConnections(bed: Bed): Promise<void> {
  // Superusers may use the reserved ones too; the agent's role may not.
  for (;;) {
    const client = await postgresAdmin(bed).catch(() => null);
    if (!client) return;
    held.push(client);
    if (held.length === 1) await client.query(CLOSE_OTHERS);
  }
}

const redisFault = (
  name: string,
  title: string,
  fault: Pick<MatrixFault, 'start' | 'stop'> & Partial<MatrixFault>,
): MatrixFault => ({ name, title, area: 'Redis', detected: sinkReported('redis'), ...fault });

const postgresFault = (
  name: string,
  title: string,
  fault: Pick<MatrixFault, 'start' | 'stop'> & Partial<MatrixFault>,
): MatrixFault => ({
  name,
  title,
  area: 'Postgres',
  forMs: 15_000,
  detected: sinkReported('postgres'),
  ...fault,
});

function signalTree(postmaster: number, signal: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ');
  for (const pid of [postmaster, ...children.filter(Boolean).map(Number)]) process.kill(pid, signal);
}

function fillDisk(folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(join(folder, 'filler'), Buffer.alloc(bavail * bsize));
  } catch {
    // The disk is full now.
  }
}

export const STORE_FAULTS: readonly MatrixFault[] = [
  redisFault('redis-killed', 'killed, started again after 6 s', {
    start: ({ site }) => site.redis.kill(),
    stop: async ({ site }) => void (await site.redis.start()),
  }),
  redisFault('redis-hung', 'hung (SIGSTOP) for 15 s', {
    forMs: 15_000,
    start: ({ site }) => site.redis.signal('SIGSTOP'),
    stop: ({ site }) => site.redis.signal('SIGCONT'),
  }),
  redisFault('redis-out-of-memory', 'out of memory, evicts nothing', {
    start: (bed) =>
      redisCommands(
        bed,
        ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'],
        ['CONFIG', 'SET', 'maxmemory', '1'],
      ),
    stop: (bed) =>
      redisCommands(
        bed,
        ['CONFIG', 'SET', 'maxmemory', '256mb'],
        ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru'],
      ),
  }),
  redisFault('redis-failover', 'demoted to a replica of a server that is gone, then promoted', {
    start: (bed) => redisCommands(bed, ['REPLICAOF', '127.0.0.1', '1']),
    stop: (bed) => redisCommands(bed, ['REPLICAOF', 'NO', 'ONE']),
  }),
  redisFault('redis-slow', 'every command waits for 2 s', {
    async start(bed) {
      for (let times = 0; times < 4; times++) {
        await redisCommands(bed, ['CLIENT', 'PAUSE', '2000', 'ALL']);
        await sleep(2_000);
      }
    },
    forMs: 0,
    stop: () => {},
  }),
  redisFault('redis-password-changed', 'password changed, clients disconnected', {
    start: (bed) =>
      redisCommands(
        bed,
        ['CONFIG', 'SET', 'requirepass', 'changed'],
        ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'],
      ),
    async stop(bed) {
      const url = new URL(bed.site.urls.redis ?? '');
      const redis = new Redis(Number(url.port), url.hostname, { password: 'changed' });
      await redis.config('SET', 'requirepass', decodeURIComponent(url.password));
      redis.disconnect();
    },
  }),
  redisFault('redis-emptied', '`FLUSHALL` each second', {
    async start(bed) {
      for (let times = 0; times < 6; times++) {
        await redisCommands(bed, ['FLUSHALL']);
        await sleep(1_000);
      }
    },
    forMs: 0,
    stop: () => {},
  }),
  redisFault('redis-forged', 'a client without the key writes that every instance is down', {
    async start(bed) {
      for (const { service, id } of bed.instances) {
        await redisCommands(
          bed,
          ['SET', `lb:health:main:${service}:${id}`, '{"is_healthy":false}'],
          ['SET', `lb:breaker:main:${service}:${id}`, '{"state":"open"}'],
          ['HSET', 'lb:intents:main', `${service}/${id}`, '{"admin":"maint"}'],
        );
      }
    },
    stop: () => {},
  }),
  redisFault('redis-killed-with-instance', 'killed together with an instance', {
    strikes: 'victim',
    async start(bed, victim) {
      await bed.site.redis.kill();
      await killVictim(bed, victim);
    },
    async stop(bed, victim) {
      await restartVictim(bed, victim);
      await bed.site.redis.start();
    },
    allowed: { other: 5 },
    reason: 'A POST that the killed instance had received.',
  }),
  postgresFault('postgres-killed', 'killed, started again after 15 s', {
    start: ({ site }) => site.postgres.kill(),
    stop: async ({ site }) => void (await site.postgres.start()),
  }),
  postgresFault('postgres-hung', 'hung (SIGSTOP, every backend)', {
    start: (bed) => signalTree(bed.site.postgres.pid, 'SIGSTOP'),
    stop: (bed) => signalTree(bed.site.postgres.pid, 'SIGCONT'),
  }),
  postgresFault('postgres-connections-used-up', 'every connection is taken', {
    start: holdConnections,
    async stop() {
      for (const client of held.splice(0)) await client.end();
    },
  }),
  postgresFault('postgres-disk-full', 'no space left for its data', {
    async start(bed) {
      if (!bed.site.smallDisk) throw new Error('needs root: a small file system for the data');
      fillDisk(bed.site.smallDisk);
    },
    stop: ({ site }) => rmSync(join(site.smallDisk ?? '', 'filler'), { force: true }),
  }),
  postgresFault('postgres-read-only', 'read-only, as a standby', {
    start: (bed) =>
      postgresCommands(bed, 'ALTER DATABASE acgs_lb SET default_transaction_read_only = on', CLOSE_OTHERS),
    stop: (bed) =>
      postgresCommands(
        bed,
        'SET default_transaction_read_only = off',
        'ALTER DATABASE acgs_lb RESET default_transaction_read_only',
        CLOSE_OTHERS,
      ),
  }),
  postgresFault('postgres-table-locked', 'its metrics table is locked', {
    async start(bed) {
      const client = await postgresAdmin(bed);
      held.push(client);
      await client.query('BEGIN; LOCK TABLE load_balancing_metrics IN ACCESS EXCLUSIVE MODE');
    },
    async stop() {
      for (const client of held.splice(0)) await client.end();
    },
  }),
  {
    name: 'stores-killed',
    area: 'Redis and Postgres',
    title: 'both killed together with an instance',
    strikes: 'victim',
    async start(bed, victim) {
      await Promise.all([bed.site.redis.kill(), bed.site.postgres.kill()]);
      await killVictim(bed, victim);
    },
    async stop(bed, victim) {
      await restartVictim(bed, victim);
      await Promise.all([bed.site.redis.start(), bed.site.postgres.start()]);
    },
    detected: sinkReported('redis'),
    allowed: { other: 5 },
    reason: 'A POST that the killed instance had received.',
  },
];
