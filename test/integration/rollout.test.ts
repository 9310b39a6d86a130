import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ApiInstance } from '../../agent/http/schemas/instances.ts';
import { freePort } from '../../dev/ports.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { ROOT, startStack, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { useServers } from '../harness/use-servers.ts';

/** Rolling deploys through the real agent, HAProxy and edge, under load. */

const IDS = ['web-1', 'web-2', 'web-3'];
const origins = new Map<string, Origin>();
const running = new Map<string, string>();
let deployer: Server;
let deployUrl: string;
let stack: TestStack;

useServers(async () => {
  for (const id of IDS) await startBuild(id, 'v1');
  // Restarts an instance with a build, as a deploy command on its host would.
  deployer = createServer((request, response) => {
    const [, id = '', build = ''] = (request.url ?? '').split('/');
    restart(id, build).then(
      () => response.end(),
      () => response.writeHead(500).end(),
    );
  });
  const port = await freePort();
  await once(deployer.listen(port, '127.0.0.1'), 'listening');
  deployUrl = `http://127.0.0.1:${port}`;
  stack = await startStack({ configText: configText(), args: ['--no-demo', '--embedded'] });
}, stop);

async function stop(): Promise<void> {
  await stack?.stop();
  deployer?.close();
  for (const origin of origins.values()) await origin.stop();
}

const configText = (more = '') => `version: 1
site: { id: main, gateways: ["http://127.0.0.1:8090"] }
edge: { url: "http://127.0.0.1:8787" }
haproxy: { bind: ["127.0.0.1:8090"] }
services:
  web:
    routes: [/]
    timeout: 10s
    slowStart: 0s
    affinity: { by: none }
    health: { interval: 500ms, fastInterval: 200ms, timeout: 10s, rise: 2, fall: 2 }${more}
    instances:
${IDS.map((id) => `      - { id: ${id}, url: "${origins.get(id)?.url}" }`).join('\n')}
`;

async function startBuild(id: string, build: string, port?: number): Promise<void> {
  const origin = await startOrigin(id, port);
  origins.set(id, origin);
  running.set(id, build);
  origin.answer((request, response) => {
    const isProbe = request.url === '/health';
    const fails = build === 'broken' || (build === 'failing' && !isProbe);
    const wait = request.url?.startsWith('/long') ? 4_000 : 5;
    setTimeout(() => response.writeHead(fails ? 503 : 200).end(build), isProbe ? 0 : wait);
  });
}

async function restart(id: string, build: string): Promise<void> {
  const port = origins.get(id)?.port;
  await origins.get(id)?.stop();
  await sleep(300);
  await startBuild(id, build, port);
}

function acgs(args: string[]) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const { PATH, HOME, TMPDIR } = process.env;
    const env = { PATH, HOME, TMPDIR, ACGS_STATE_DIR: stack.stateDir };
    execFile(process.execPath, [join(ROOT, 'agent/cli/main.ts'), ...args], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, out, err }),
    );
  });
}

const rollout = (build: string, ...options: string[]) =>
  acgs([
    ...['rollout', 'web', '--settle', '4s', '--healthy-within', '8s', ...options, '--'],
    ...['sh', '-c', `echo deploying "$ACGS_URL"; curl -fsS -X POST ${deployUrl}/$ACGS_INSTANCE/${build}`],
  ]);

/** Clients of the gateway and of the edge, until `stop`, which returns the number of answers by status. */
function startClients(urls: string[]) {
  const answers: { [status: string]: number } = {};
  let open = true;
  const client = async (url: string) => {
    while (open) {
      const status = await fetch(url).then(
        async (response) => {
          await response.text();
          return String(response.status);
        },
        (error: unknown) => String(error),
      );
      answers[status] = (answers[status] ?? 0) + 1;
      await sleep(10);
    }
  };
  const clients = urls.flatMap((url) => [1, 2, 3, 4].map(() => client(url)));
  return async () => {
    open = false;
    await Promise.all(clients);
    return answers;
  };
}

const bothWays = () => [`${stack.stack.gateway}/x`, `${stack.stack.edge}/x`];
const instance = async (id: string): Promise<ApiInstance> => {
  const response = await fetch(`${stack.stack.agent}/v1/services/web/instances/${id}`);
  return (await response.json()) as ApiInstance;
};

test('a good build goes to every instance and no request fails', async () => {
  const stop = startClients(bothWays());
  const { code, out } = await rollout('v2');
  const answers = await stop();
  expect(out).toContain('rollout of web complete: web-1, web-2, web-3');
  expect(out).toContain(`web-1 | deploying ${origins.get('web-1')?.url}`);
  expect(code).toBe(0);
  expect([...running.values()]).toEqual(['v2', 'v2', 'v2']);
  expect(Object.keys(answers)).toEqual(['200']);
  expect(answers['200']).toBeGreaterThan(500);
});

test('a broken build stops the rollout by itself with 0 failed requests; --resume goes on', async () => {
  const stop = startClients(bothWays());
  const { code, out } = await rollout('broken');
  const answers = await stop();
  expect(out).toContain('rollout of web stopped at web-1: not healthy within 8s');
  expect(code).toBe(1);
  expect(Object.keys(answers)).toEqual(['200']);
  expect(IDS.filter((id) => running.get(id) === 'broken')).toEqual(['web-1']);
  expect(await instance('web-1')).toMatchObject({ admin: 'maint', state: 'down' });
  const record = join(stack.stateDir, 'rollouts/web.json');
  expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({ done: [], current: ['web-1'] });
  expect(statSync(record).mode & 0o777).toBe(0o600);

  expect((await rollout('v3', '--resume')).code).toBe(0);
  expect([...running.values()]).toEqual(['v3', 'v3', 'v3']);
  expect(await acgs(['rollout', 'web', '--resume'])).toMatchObject({ code: 2 });
});

test('a build that passes its probes and fails its requests is stopped as an outlier', async () => {
  const stop = startClients([`${stack.stack.edge}/x`, `${stack.stack.edge}/y`]);
  const { code, out } = await rollout('failing');
  const answers = await stop();
  expect(out).toMatch(/rollout of web stopped at web-1: (outlier|breaker|down)/);
  expect(code).toBe(1);
  expect(Object.keys(answers)).toEqual(['200']);
  expect(IDS.filter((id) => running.get(id) === 'failing')).toEqual(['web-1']);
  expect(await instance('web-1')).toMatchObject({ admin: 'maint' });
  await restart('web-1', 'v3');
  await acgs(['ready', 'web', 'web-1']);
  // Its breaker is half-open until there is traffic again.
  expect(await until(async () => (await instance('web-1')).state !== 'down')).toBe(true);
});

test('drain --wait returns at zero in flight, or at the deadline with the number left', async () => {
  // Each of three is busy, whichever HAProxy picks.
  const long = [1, 2, 3, 4, 5, 6].map(() => fetch(`${stack.stack.gateway}/long`));
  expect(await until(async () => (await instance('web-2')).inflight > 0)).toBe(true);
  const early = await acgs(['--json', 'drain', 'web-2', '--wait', '--deadline', '1s']);
  expect(early.code).toBe(1);
  expect(JSON.parse(early.out)).toMatchObject({ service: 'web', instance: 'web-2', drained: false });
  expect(JSON.parse(early.out).inflight).toBeGreaterThan(0);
  const done = await acgs(['drain', 'web', 'web-2', '--wait', '--deadline', '60s']);
  expect(done).toMatchObject({ code: 0, out: 'web/web-2: no request in flight\n' });
  expect((await Promise.all(long)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  await acgs(['ready', 'web', 'web-2']);
});

test('apply keeps the ports of the local stack, names what it leaves out, and goes back', async () => {
  const file = join(stack.stateDir, 'next.yaml');
  const limits = '\n    rateLimits: [{ name: per-ip, key: ip, limit: 500, window: 10s }]';
  const production = 'haproxy: { others: [{ name: b, socket: "10.0.0.2:9999" }], ';
  writeFileSync(
    file,
    configText(limits).replace('timeout: 10s', 'timeout: 9s').replace('haproxy: { ', production),
  );
  const applied = await acgs(['apply', '--config', file, '--yes']);
  expect(applied).toMatchObject({ code: 0, err: '' });
  expect(applied.out).toContain('web.timeout: 10s → 9s');
  expect(applied.out).toMatch(/web\.rateLimits\.per-ip: added .*500/);
  expect(applied.out).toContain('not applied to the local stack: site.gateways, haproxy.others');
  expect(applied.out).not.toMatch(/haproxy\.bind|agent\.bind|restart the agent/);
  expect((await acgs(['events', '--no-follow'])).out).toContain('config  web.timeout: 10s → 9s  (admin)');
  for (const url of bothWays()) expect((await fetch(url)).status).toBe(200);
  const back = await acgs(['apply', '--rollback', '--yes']);
  expect(back).toMatchObject({ code: 0, out: expect.stringContaining('web.timeout: 9s → 10s') });
  for (const url of bothWays()) expect((await fetch(url)).status).toBe(200);
});
