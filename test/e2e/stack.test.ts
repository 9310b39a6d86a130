import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isPortFree } from '../../dev/ports.ts';
import type { StackFile } from '../../dev/stack/stack-file.ts';
import { ROOT, startStack, type TestStack } from '../harness/stack.ts';
import { edgeStatus, serverStat } from '../harness/status.ts';
import { until } from '../harness/until.ts';
import { requestEdge } from './edge-request.ts';

const PREFIXES = {
  auth: '/api/v1/auth',
  ac: '/api/v1/constitutional',
  integrity: '/api/v1/integrity',
  fv: '/api/v1/formal-verification',
  gs: '/api/v1/governance',
  pgc: '/api/v1/policy',
  ec: '/api/v1/evolutionary',
};

let test: TestStack;
let foldersBefore: string[];
/** The instance that a test killed and started again. */
let restarted: ChildProcess | undefined;
let clients = 0;
/** The address of a new client, with unused limits. */
const newClient = () => `198.18.${Math.floor(clients / 250)}.${clients++ % 250}`;
const folders = () => readdirSync(tmpdir()).filter((name) => /^acgs-[A-Za-z0-9]{6}$/.test(name));

beforeAll(async () => {
  foldersBefore = folders();
  test = await startStack({
    args: ['--simulate-clients'],
    // A window long enough for a slow machine.
    edit: (document) => {
      const perIp = { name: 'per-ip', key: 'ip', limit: 20, window: '10m', scope: 'edge' };
      document.setIn(['services', 'auth', 'rateLimits'], [perIp]);
    },
  });
});
afterAll(async () => {
  restarted?.kill('SIGKILL');
  await test?.stop();
});

it.each(Object.entries(PREFIXES))(
  '%s answers under its prefix through edge and gateway',
  async (service, prefix) => {
    const edge = await requestEdge(test.stack, `${prefix}/health`, { client: '198.51.100.2' });
    expect(edge).toMatchObject({ status: 200, body: { service, path: `${prefix}/health` } });
    expect(edge.instance).toBe(edge.body.instance_id);
    const gateway = await requestEdge(test.stack, `${prefix}/health`, { via: 'gateway' });
    expect(gateway).toMatchObject({ status: 200, body: { service, path: `${prefix}/health` } });
  },
);

it('distributes requests over the instances and sends an unknown path to the default service', async () => {
  const seen = new Set<string | null>();
  // Usually ten requests suffice; an instance with a slow first response gets few requests for a while.
  await until(async () => {
    seen.add((await requestEdge(test.stack, '/api/v1/auth/x', { client: newClient() })).instance);
    return seen.size > 1;
  });
  expect([...seen].sort()).toEqual(['auth-1', 'auth-2']);
  expect((await requestEdge(test.stack, '/no/such/path', { client: '198.51.100.3' })).body.service).toBe(
    'gs',
  );
});

it('keeps a client on one instance by its cookie', async () => {
  const client = newClient();
  const first = await requestEdge(test.stack, '/api/v1/integrity/x', { client });
  const cookie = first.headers.get('set-cookie')?.split(';')[0] ?? '';
  expect(cookie).toMatch(/^acgs_affinity=/);
  for (let call = 0; call < 10; call++) {
    const next = await requestEdge(test.stack, '/api/v1/integrity/x', {
      client,
      headers: { cookie },
    });
    expect(next.instance).toBe(first.instance);
  }
});

it('answers the 21st request in the window with 429 and the limit', async () => {
  const client = newClient();
  for (let call = 1; call <= 20; call++) {
    const { status, headers } = await requestEdge(test.stack, '/api/v1/auth/x', { client });
    expect({ call, status }).toEqual({ call, status: 200 });
    expect(headers.get('ratelimit')).toMatch(new RegExp(`^"per-ip";r=${20 - call};t=\\d+$`));
    expect(headers.get('ratelimit-policy')).toBe('"per-ip";q=20;w=600');
  }
  const denied = await requestEdge(test.stack, '/api/v1/auth/x', { client });
  expect(denied.status).toBe(429);
  expect(denied.headers.get('content-type')).toBe('application/problem+json');
  expect(Number(denied.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(denied.body).toMatchObject({ status: 429, 'violated-policies': ['per-ip'] });
  // Another client is not affected.
  expect((await requestEdge(test.stack, '/api/v1/auth/x', { client: newClient() })).status).toBe(200);
});

it('writes stack.json, readable by the owner only', () => {
  const { stack, stateDir } = test;
  expect(statSync(join(stateDir, 'stack.json')).mode & 0o777).toBe(0o600);
  expect(statSync(join(stateDir, 'secrets.env')).mode & 0o777).toBe(0o600);
  expect(stack.instances).toHaveLength(14);
  expect(test.output()).not.toContain('restarting in');
  for (const pid of [...Object.values(stack.pids), ...stack.instances.map((instance) => instance.pid)]) {
    expect(existsSync(`/proc/${pid}`)).toBe(true);
  }
  expect(test.output()).toContain(stack.edge);
  expect(test.output()).not.toMatch(/warn|error|deprecat/i);
});

it('survives a killed instance: no request fails, all components know, traffic returns after passed probes', async () => {
  const { stack } = test;
  const victim = stack.instances.find(({ id }) => id === 'fv-2');
  const path = '/api/v1/formal-verification/x';
  const failures: (number | string)[] = [];
  let calls = 0;
  let asking = true;
  const loop = async () => {
    while (asking) {
      const asked = requestEdge(stack, path, { client: `203.0.113.${calls++ % 250}` });
      const status = await asked.then((answer) => answer.status, String);
      if (status !== 200) failures.push(status);
      // 250 clients of 20 requests per 10 s: far below every limit.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const asked = Promise.all([loop(), loop(), loop(), loop()]);
  try {
    await killAndWaitUntilKnown(stack, restarted?.pid ?? victim?.pid);
    const port = new URL(victim?.url ?? '').port;
    restarted = spawn(process.execPath, ['dev/instance.ts', 'fv', 'fv-2', port], {
      cwd: ROOT,
      stdio: 'ignore',
    });
    // Compare as text, because the row can be empty for a moment and "0" is a valid count.
    const before = await until(async () => (await serverStat(stack, 'fv', 'fv-2')).stot);
    const served = async () => Number((await serverStat(stack, 'fv', 'fv-2')).stot) > Number(before);
    expect(await until(served)).toBe(true);
    const serves = async () => /"id":"fv-2"[^}]*"state":"(up|probation)"/.test(await agentsView(stack));
    expect(await until(serves)).toBe(true);
  } finally {
    asking = false;
    await asked;
  }
  expect(failures).toEqual([]);
  const hintPrinted = () => test.output().includes('node_modules/.bin/node dev/instance.ts fv fv-2');
  expect(await until(hintPrinted)).toBe(true);
});

it('restarts its services when they die and answers requests meanwhile', {
  timeout: 240_000,
}, async () => {
  const now = () => readFileSync(join(test.stateDir, 'stack.json'), 'utf8');
  const pidsNow = () => (JSON.parse(now()) as StackFile).pids;
  const before = pidsNow();
  const names = ['haproxy', 'redis', 'postgres', 'agent'] as const;
  for (const name of names) kill(before[name]);
  const statuses: number[] = [];
  const back = await until(
    async () => {
      const { status } = await requestEdge(test.stack, '/api/v1/auth/x', { client: newClient() });
      statuses.push(status);
      const pids = pidsNow();
      return names.every((name) => pids[name] !== null && pids[name] !== before[name]);
    },
    { withinMs: 100_000 },
  );
  expect(back).toBe(true);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  for (const name of names)
    expect(await until(() => test.output().includes(`${name} runs again`))).toBe(true);

  kill(before.edge);
  const edge = await until(async () => pidsNow().edge !== before.edge && pidsNow().edge, {
    withinMs: 100_000,
  });
  expect(edge).not.toBe(null);
  // It routes by the last snapshot on disk.
  expect((await requestEdge(test.stack, '/api/v1/auth/x', { client: newClient() })).status).toBe(200);
  test.stack.pids = pidsNow();
});

// Last: it ends the stack.
it('leaves nothing behind after a stop signal', async () => {
  const { stack, stateDir } = test;
  expect(await test.end('SIGINT')).toBe(0);
  const pids = [...Object.values(stack.pids), ...stack.instances.map(({ pid }) => pid)];
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  for (const url of [stack.edge, stack.gateway, stack.agent, stack.redis, stack.postgres]) {
    // Killed members of a process group can take a moment to end.
    expect(await until(() => isPortFree(Number(new URL(url ?? '').port)))).toBe(true);
  }
  expect(existsSync(join(stateDir, 'stack.json'))).toBe(false);
  expect(existsSync(join(stateDir, 'processes.json'))).toBe(false);
  expect(folders().filter((name) => !foldersBefore.includes(name) && isOfThisStack(name))).toEqual([]);
});

function kill(pid: number | null | undefined): void {
  // kill(0) would signal the whole process group.
  if (!pid) throw new Error('there is no such process');
  process.kill(pid, 'SIGKILL');
}

/** Kills fv-2 and waits until HAProxy, the edge, Redis and Postgres report it as down. */
async function killAndWaitUntilKnown(stack: StackFile, pid: number | null | undefined): Promise<void> {
  const killedAt = Date.now() / 1000;
  kill(pid);
  const redis = new Redis(stack.redis ?? '');
  const postgres = new Client({ connectionString: stack.postgres ?? '' });
  await postgres.connect();
  const results = await Promise.all([
    until(async () => {
      const { status } = await serverStat(stack, 'fv', 'fv-2');
      return status && !status.startsWith('UP');
    }),
    until(async () => /"id":"fv-2"[^}]*"state":"down"/.test(await edgeStatus(stack))),
    until(async () => (await redis.get('lb:health:main:fv:fv-2'))?.includes('"is_healthy":false')),
    until(async () => {
      const { rows } = await postgres.query(
        "SELECT error_message FROM service_health_history WHERE instance_id = 'fv-2' AND NOT is_healthy AND timestamp > $1",
        [killedAt - 1],
      );
      return rows[0]?.error_message;
    }),
  ]);
  redis.disconnect();
  await postgres.end();
  expect(results).not.toContain(null);
}

async function agentsView(stack: StackFile): Promise<string> {
  return (await fetch(`${stack.agent}/v1/services/fv/instances`)).text();
}

/** Other test files run their own stacks at the same time. */
function isOfThisStack(folder: string): boolean {
  return (test.stack.haproxySocket ?? '').includes(`/${folder}/`);
}
