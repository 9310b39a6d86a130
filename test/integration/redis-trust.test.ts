import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { createPrivateFolder } from '../../dev/servers/folder.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';

/** An attacker writes to Redis: the agent serves the same instances as before. */

const INTENTS = 'lb:intents:main';
const updatedAt = Date.now() + 1_000;
/** The two values that the attacker writes: an instance in maint, and a rogue instance. */
const FORGED = {
  'gs/gs-1': { by: 'rogue', updatedAt, admin: { state: 'maint' } },
  'gs/rogue': {
    by: 'rogue',
    updatedAt,
    registration: {
      id: 'rogue',
      service: 'gs',
      url: 'http://127.0.0.1:1',
      weight: 256,
      priority: 1,
      metadata: {},
    },
  },
};

let redis: LocalRedis;
let origin: Origin;
beforeAll(async () => {
  redis = await startRedis();
  origin = await startOrigin('gs-1');
});
afterAll(async () => {
  await origin?.stop();
  await redis?.stop();
});

describe.each([
  { agents: 1, key: '' },
  { agents: 2, key: 'a-random-key-of-at-least-32-characters' },
])('site.agents: $agents', ({ agents, key }) => {
  let folder: string;
  let url: string;
  let child: ChildProcess;
  let client: Redis;

  beforeAll(async () => {
    folder = createPrivateFolder('acgs-redis-trust');
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const config = {
      version: 1,
      site: { id: 'main', agents },
      agent: { bind: `127.0.0.1:${port}` },
      haproxy: {
        file: `${folder}/haproxy.cfg`,
        socket: `${folder}/a.sock`,
        masterSocket: `${folder}/m.sock`,
        agentCheck: `127.0.0.1:${await freePort()}`,
      },
      registry: { allowNetworks: ['127.0.0.0/8'] },
      services: { gs: { routes: ['/'], instances: [{ id: 'gs-1', url: origin.url }] } },
    };
    writeFileSync(join(folder, 'acgs-lb.yaml'), JSON.stringify(config));
    const script =
      'exec "$0" agent/main.ts --config "$1/acgs-lb.yaml" --state-dir "$1/state" >>"$1/log" 2>&1';
    child = spawn('sh', ['-c', script, process.execPath, folder], {
      stdio: 'ignore',
      env: {
        PATH: process.env.PATH,
        TMPDIR: process.env.TMPDIR,
        ACGS_TOKEN: 'trust-token',
        REDIS_URL: redis.url,
        DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
        ...(key && { INTENT_KEY: key }),
      },
    });
    client = new Redis(redis.url);
    await client.del(INTENTS);
    if (!(await until(async () => (await fetch(`${url}/ready`)).ok))) {
      throw new Error(readFileSync(join(folder, 'log'), 'utf8'));
    }
  });
  afterAll(async () => {
    client?.disconnect();
    if (child.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  const instances = async (): Promise<{ id: string; admin: string }[]> =>
    ((await (await fetch(`${url}/v1/services/gs/instances`)).json()) as { instances: [] }).instances;

  test('intents that no agent signed change nothing', async () => {
    // The agent is connected to Redis and compares after a message.
    await eventually(async () => expect(await client.exists('lb:instances:main:gs')).toBe(1));
    for (const [field, intent] of Object.entries(FORGED)) {
      await client.hset(INTENTS, field, JSON.stringify(intent));
      await client.publish('lb:events:main', JSON.stringify({ kind: 'intent', field }));
    }
    // Without the defence both take effect within 0.2 s, and after 10 s at the latest without the message.
    await sleep(2_000);
    expect(await instances()).toMatchObject([{ id: 'gs-1', admin: 'ready' }]);
    const log = readFileSync(join(folder, 'log'), 'utf8');
    expect(log.includes('ignoring intents in Redis')).toBe(agents > 1);
  });

  test('a request through the API is shared only with several agents, and signed', async () => {
    const response = await fetch(`${url}/v1/services/gs/instances/gs-1/weight`, {
      method: 'PUT',
      headers: { authorization: 'Bearer trust-token', 'content-type': 'application/json' },
      body: JSON.stringify({ weight: 50 }),
    });
    expect(response.status).toBe(200);
    const stored = async () => (await client.hget(INTENTS, 'gs/gs-1')) ?? '';
    if (agents === 1) {
      await sleep(500);
      expect(JSON.parse(await stored())).toEqual(FORGED['gs/gs-1']);
    } else {
      await eventually(async () => expect(await stored()).toMatch(/^\d+\.[\w-]{43} \{.*"weight":50/));
    }
  });
});
