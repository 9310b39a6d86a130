import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { emptySketch } from '../../shared/sketch.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { useServers } from '../harness/use-servers.ts';

/** One agent process as deployed, without Redis, Postgres or HAProxy: it must run without each of them. */

const TOKEN = 'api-test-token';
const STEER = 'a-random-steer-token';
const REGISTER = 'a-random-register-token';
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let folder: string;
let configFile: string;
let stateDir: string;
let origins: Origin[];
let url: string;
let given: string;
let child: ChildProcess;

useServers(async () => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-api-'));
  configFile = join(folder, 'acgs-lb.yaml');
  stateDir = join(folder, 'state');
  origins = [await startOrigin('gs-1'), await startOrigin('gs-2'), await startOrigin('gs-3')];
  const [port, check] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  given = config(port, check, ['gs-1', 'gs-2']);
  writeFileSync(configFile, given);
  await start();
  // /ready answers 200 after five seconds even without probe results.
  const judged = await until(async () => (await state('gs-1')) === 'up' && (await state('gs-2')) === 'up');
  if (!judged) throw new Error(readFileSync(join(folder, 'log'), 'utf8'));
}, stop);

async function stop(): Promise<void> {
  await end('SIGKILL');
  for (const origin of origins) await origin.stop();
  rmSync(folder, { recursive: true, force: true });
}

function config(port: number, check: number, ids: string[]): string {
  const lines = ids.map((id) => `      - { id: ${id}, url: "${origins[Number(id.at(-1)) - 1]?.url}" }`);
  return `version: 1
site: { id: main }
agent: { bind: "127.0.0.1:${port}" }
haproxy:
  file: ${folder}/haproxy.cfg
  socket: ${folder}/a.sock
  masterSocket: ${folder}/m.sock
  agentCheck: 127.0.0.1:${check}
services:
  gs:
    routes: [/]
    slowStart: 0s
    # The instances run in the test's process: a pause of that process must not mark them down.
    health: { interval: 1s, fastInterval: 100ms, timeout: 60s }
    instances:
${lines.join('\n')}
`;
}

async function start(): Promise<void> {
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
  const script = 'exec "$0" agent/main.ts --config "$1" --state-dir "$2" >>"$3" 2>&1';
  child = spawn('sh', ['-c', script, process.execPath, configFile, stateDir, join(folder, 'log')], {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      ACGS_TOKEN: TOKEN,
      ACGS_TOKENS: `oncall:steer:${STEER},gs-deploy:register/gs:${REGISTER}`,
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      REDIS_URL: 'redis://127.0.0.1:1/0',
      EDGE_JWT_PUBLIC_KEYS: `e1:${spki}`,
    },
  });
  const ready = await until(async () => (await fetch(`${url}/ready`)).ok);
  if (!ready) throw new Error(readFileSync(join(folder, 'log'), 'utf8'));
}

function end(signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill(signal);
  return ended;
}

async function call(method: string, path: string, body?: unknown, token = TOKEN) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    json: text.startsWith('{') ? JSON.parse(text) : {},
  };
}

const instances = '/v1/services/gs/instances';
const state = async (id: string): Promise<string> => (await call('GET', `${instances}/${id}`)).json.state;

test('reads on loopback need no token, writes do, errors are problem+json', async () => {
  expect((await call('GET', '/v1/services', undefined, '')).json.services).toMatchObject([
    { id: 'gs', up: 2 },
  ]);
  const refused = await call('PUT', `${instances}/gs-1/admin`, { state: 'maint' }, 'wrong');
  expect(refused).toMatchObject({ status: 401, type: 'application/problem+json', json: { status: 401 } });
  expect(await call('GET', `${instances}/nobody`)).toMatchObject({
    status: 404,
    json: { title: 'Not found' },
  });
  expect((await call('PUT', `${instances}/gs-1/weight`, { weight: 0 })).json.detail).toContain('weight');
  expect((await call('PUT', `${instances}/gs-1/admin`, { state: 'drain', deadline: 'soon' })).status).toBe(
    400,
  );
});

let nextAddress = 9;

test('an address that guesses tokens is blocked; other addresses are not', async () => {
  const from = (
    localAddress: string,
    token: string,
  ): Promise<{ status: number | undefined; wait: string | undefined }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      request(`${url}/v1/token`, { method: 'POST', localAddress, headers, agent: false }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, wait: response.headers['retry-after'] });
      })
        .on('error', reject)
        .end();
    });
  const attacker = `127.0.0.${nextAddress++}`;
  for (let n = 0; n < 10; n++) expect((await from(attacker, `guess-${n}`)).status).toBe(401);
  const blocked = await from(attacker, TOKEN);
  expect(blocked.status).toBe(429);
  expect(Number(blocked.wait)).toBeGreaterThan(0);
  expect((await from('127.0.0.1', TOKEN)).status).toBe(204);
});

test('a body over the limit is rejected before it is read', async () => {
  // The client sends only the first byte, so a server that waits for the rest never answers.
  const sendFirstByte = (method: string, path: string, length: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${TOKEN}`,
        'content-type': 'application/json',
        'content-length': length,
      };
      const sent = request(`${url}${path}`, { method, headers, agent: false }, async (response) => {
        const { statusCode: status, headers } = response;
        const text = await response.setEncoding('utf8').reduce((all, part) => all + part, '');
        sent.destroy();
        resolve({ status, type: headers['content-type'], detail: JSON.parse(text).detail });
      });
      sent.on('error', reject).write('{');
    });
  expect(await sendFirstByte('POST', instances, 300_000)).toEqual({
    status: 413,
    type: 'application/problem+json',
    detail: 'the request body exceeds the limit of 256 KiB',
  });
  expect(await sendFirstByte('PUT', '/v1/config', 1024 * 1024 + 1)).toMatchObject({
    status: 413,
    detail: 'the request body exceeds the limit of 1024 KiB',
  });
});

test('errors say what is wrong: content type, query value, conflicting instance', async () => {
  expect(await call('PUT', `${instances}/gs-1/weight`, '{ "weight": 50 }')).toMatchObject({
    status: 415,
    json: { detail: expect.stringContaining('content-type: application/json') },
  });
  expect((await call('POST', '/v1/publish')).status).not.toBe(415);
  expect(await call('GET', '/v1/explain?path=nowhere')).toMatchObject({
    status: 400,
    json: { detail: expect.stringContaining('must begin with /') },
  });
  const url = origins[0]?.url;
  expect(await call('POST', instances, { id: 'gs-9', url })).toMatchObject({
    status: 409,
    json: {
      title: 'Conflict with another instance',
      detail: `${url} is the address of gs-1 of gs, which is in the configuration file`,
    },
  });
});

const third = () => ({ id: 'gs-3', url: origins[2]?.url, metadata: { zone: 'a', rack: '1' } });

test('registration: idempotent, conflicts rejected, addresses restricted, down until probes pass', async () => {
  const body = third();
  expect(await call('POST', instances, body)).toMatchObject({
    status: 201,
    json: { state: 'down', health: 'unknown' },
  });
  const same = { ...body, metadata: { rack: '1', zone: 'a' } };
  expect((await call('POST', instances, same)).status).toBe(200);
  expect((await call('POST', instances, { ...body, weight: 5 })).status).toBe(409);
  expect((await call('POST', instances, { id: 'gs-1', url: 'http://127.0.0.1:7' })).status).toBe(409);
  const outside = await call('POST', instances, { id: 'gs-9', url: 'http://169.254.169.254' });
  expect(outside).toMatchObject({
    status: 400,
    json: { detail: expect.stringContaining('never link-local') },
  });
  expect((await call('POST', instances, { id: 'gs-9', url: 'ftp://127.0.0.1' })).json.detail).toContain(
    'http://',
  );
  expect((await call('POST', '/v1/services/nope/instances', body)).status).toBe(404);
  expect(await until(async () => (await state('gs-3')) === 'up')).toBe(true);
  expect((await call('DELETE', `${instances}/gs-1`)).json.detail).toContain('configuration file');
});

test('history without a database is 503; an invalid query is 400 and names its parameter', async () => {
  const get = (query: string) => call('GET', `/v1/history?${query}`);
  expect(await get('service=gs&window=1h')).toMatchObject({
    status: 503,
    type: 'application/problem+json',
    json: { title: 'History unavailable' },
  });
  expect((await call('GET', '/v1/events?since=1h')).status).toBe(503);
  for (const [query, parameter] of [
    ['window=1y', 'window'],
    ['window=1m', 'window'],
    ['since=yesterday', 'since'],
    ['until=1h', 'until'],
    ['window=1h&since=1h', 'window'],
    ['instance=gs-1', 'instance'],
  ]) {
    const { status, json } = await get(query ?? '');
    expect([query, status, json.detail]).toEqual([query, 400, expect.stringContaining(`${parameter}: `)]);
  }
  expect((await call('GET', '/v1/events?since=1h&kind=nope')).json.detail).toContain('kind: ');
  expect((await call('GET', '/v1/events?since=1h&before=x')).json.detail).toContain('before: ');
  expect((await call('GET', '/v1/events?limit=-1')).json.detail).toContain('limit: ');
});

test('a step of a deployment is an event; the stream is filtered by kind and instance', async () => {
  const event = { kind: 'rollout', service: 'gs', instance: 'gs-1', to: 'started', reason: 'build 7' };
  expect((await call('POST', '/v1/events', event, STEER)).status).toBe(202);
  expect((await call('POST', '/v1/events', { ...event, service: 'nope' })).status).toBe(404);
  expect((await call('POST', '/v1/events', { ...event, to: 'x' })).status).toBe(400);
  const stream = async (query: string) =>
    [
      ...(await (await fetch(`${url}/v1/events?follow=false&limit=1000&${query}`)).text()).matchAll(
        /^data: (.*)$/gm,
      ),
    ].map(([, data = '']) => JSON.parse(data));
  expect(await stream('kind=rollout')).toEqual([{ ...event, at: expect.any(Number), by: 'oncall' }]);
  expect(await stream('kind=rollout&instance=gs-2')).toEqual([]);
  const kinds = new Set((await stream('instance=gs-1')).map(({ kind }) => kind));
  expect(kinds).toContain('state');
});

test('a registration without heartbeats expires', async () => {
  await call('POST', instances, third());
  const body = { id: 'gs-4', url: 'http://127.0.0.1:1', ttl: '1s' };
  // Retried, because on a slow machine the registration may expire before the heartbeat.
  const registerAndRenew = async () => {
    const { status } = await call('POST', instances, body);
    return [status, (await call('PUT', `${instances}/gs-4/heartbeat`)).status];
  };
  await eventually(async () => expect(await registerAndRenew()).toEqual([201, 200]));
  expect(await until(async () => (await call('GET', `${instances}/gs-4`)).status === 404)).toBe(true);
  expect((await call('PUT', `${instances}/gs-3/heartbeat`)).json.detail).toContain('no heartbeat');
});

test('after a crash, states, admin states, weights and registrations are restored without a state change', async () => {
  await call('POST', instances, third());
  expect(await until(async () => (await state('gs-3')) === 'up')).toBe(true);
  await call('PUT', `${instances}/gs-2/admin`, { state: 'drain', deadline: '1h' });
  await call('PUT', `${instances}/gs-1/weight`, { weight: 42 });
  await until(() => readFileSync(join(stateDir, 'judged.json'), 'utf8').includes('"weight":42'));
  await end('SIGKILL');
  await start();
  const { json } = await call('GET', instances);
  expect(json.instances).toMatchObject([
    { id: 'gs-1', state: 'up', weight: 42 },
    { id: 'gs-2', state: 'draining', admin: 'drain', drainDeadline: expect.any(Number) },
    { id: 'gs-3', state: 'up', origin: 'api', metadata: { zone: 'a', rack: '1' } },
  ]);
  const events = await (await fetch(`${url}/v1/events?limit=100&follow=false`)).text();
  expect(events).not.toContain('"kind":"state"');
  expect((await call('DELETE', `${instances}/gs-3`)).status).toBe(204);
  expect((await call('GET', `${instances}/gs-3`)).status).toBe(404);
});

test('a configuration is applied completely, reported line by line and saved; an invalid one changes nothing', async () => {
  const now = given;
  expect((await call('PUT', '/v1/config', now)).status).toBe(200);
  const wrong = await call(
    'PUT',
    '/v1/config',
    now.replace('slowStart: 0s', 'slowStart: soon').replace('routes: [/]', 'routes: [x]'),
  );
  expect(wrong).toMatchObject({
    status: 400,
    json: { problems: [expect.stringContaining('routes'), expect.stringContaining('slowStart')] },
  });
  expect(readFileSync(configFile, 'utf8')).toBe(now);
  const next = now.replace('routes: [/]', 'routes: [/, /extra]').replace(/ +- \{ id: gs-2.*\n/, '');
  const dry = await call('PUT', '/v1/config?dryRun=true', next);
  expect(dry.json.changes).toContain('gs.routes: ["/"] → ["/","/extra"]');
  expect((await call('GET', `${instances}/gs-2`)).status).toBe(200);
  expect((await call('PUT', '/v1/config', next)).json).toMatchObject({
    saved: true,
    changes: dry.json.changes,
  });
  expect((await call('GET', `${instances}/gs-2`)).status).toBe(404);
  expect(await state('gs-1')).toBe('up');
  expect(readFileSync(configFile, 'utf8')).toBe(next);
  writeFileSync(configFile, now);
  child.kill('SIGHUP');
  // A removed and re-added instance is new: its earlier admin state is gone.
  expect(await until(async () => (await state('gs-2')) === 'up')).toBe(true);
});

test('every changed key is an event; a rollback returns to the previous configuration', async () => {
  const limit = (n: number) =>
    given.replace(
      '    slowStart: 0s',
      `    slowStart: 0s\n    rateLimits: [{ name: per-ip, key: ip, limit: ${n}, window: 10s }]`,
    );
  await call('PUT', '/v1/config', limit(20));
  await call('PUT', '/v1/config', limit(500));
  const line = 'gs.rateLimits.per-ip.limit: 20 → 500';
  const stream = await fetch(`${url}/v1/events?follow=false&limit=1`);
  const event = JSON.parse(/^data: (.*)$/m.exec(await stream.text())?.[1] ?? '{}');
  expect(event).toMatchObject({ kind: 'config', service: 'gs', instance: '', from: '20', to: '500' });
  expect(event).toMatchObject({ reason: line, by: 'admin' });
  expect((await call('GET', '/v1/status')).json.changes[0]).toEqual(event);

  const back = 'gs.rateLimits.per-ip.limit: 500 → 20';
  const dry = await call('POST', '/v1/config/rollback?dryRun=true');
  expect(dry.json).toMatchObject({ changes: [back], saved: false });
  expect((await call('POST', '/v1/config/rollback', undefined, STEER)).status).toBe(403);
  expect(readFileSync(configFile, 'utf8')).toBe(limit(500));
  expect((await call('POST', '/v1/config/rollback')).json).toMatchObject({ changes: [back], saved: true });
  expect(readFileSync(configFile, 'utf8')).toBe(limit(20));
  expect(readFileSync(join(stateDir, 'configurations/rolled-back.yaml'), 'utf8')).toBe(limit(500));
  expect((await call('POST', '/v1/config/rollback')).status).toBe(200);
  expect(readFileSync(configFile, 'utf8')).toBe(given);
});

test('the API sets no receiver, file or socket; only the file does', async () => {
  const command = `alerts: { receivers: { log: { type: command, argv: [touch, ${folder}/executed] } } }\n`;
  const moved = given.replace(`${folder}/haproxy.cfg`, `${folder}/other.cfg`);
  for (const query of ['', '?dryRun=true']) {
    expect(await call('PUT', `/v1/config${query}`, moved + command)).toMatchObject({
      status: 400,
      json: {
        problems: [expect.stringMatching(/^alerts\.receivers: /), expect.stringMatching(/^haproxy\.file: /)],
      },
    });
  }
  expect((await call('POST', '/v1/alerts/test', {})).status).toBe(200);
  expect(existsSync(join(folder, 'executed'))).toBe(false);
  expect(readFileSync(configFile, 'utf8')).toBe(given);
  const hook = '{ type: webhook, url: http://127.0.0.1:1/, headers: { x-team: credential-of-a-hook } }';
  writeFileSync(configFile, `${given}alerts: { receivers: { log: { type: log }, hook: ${hook} } }\n`);
  child.kill('SIGHUP');
  const shown = async () => JSON.stringify((await call('GET', '/v1/config')).json);
  expect(await until(async () => (await shown()).includes('"hook"'))).toBe(true);
  expect(await shown()).not.toContain('credential-of-a-hook');
  writeFileSync(configFile, given);
  child.kill('SIGHUP');
  expect(await until(async () => !(await shown()).includes('"hook"'))).toBe(true);
});

test('a token with a scope does what its scope allows, and its name is in the events and the log', async () => {
  const body = { id: 'gs-7', url: 'http://127.0.0.1:1' };
  expect((await call('POST', instances, body, STEER)).status).toBe(403);
  expect((await call('POST', instances, body, REGISTER)).status).toBe(201);
  expect((await call('PUT', `${instances}/gs-7/admin`, { state: 'maint' }, REGISTER)).status).toBe(403);
  expect((await call('PUT', `${instances}/gs-7/admin`, { state: 'maint' }, STEER)).status).toBe(200);
  const remove = (token: string) => call('DELETE', `${instances}/gs-7`, undefined, token);
  // A token that cannot set maint cannot end it either.
  expect((await remove(REGISTER)).status).toBe(204);
  const again = await call('POST', instances, body, REGISTER);
  expect(again).toMatchObject({ status: 201, json: { admin: 'maint' } });
  expect((await remove(TOKEN)).status).toBe(204);
  expect((await call('POST', instances, body, REGISTER)).json).toMatchObject({ admin: 'ready' });
  expect((await remove(REGISTER)).status).toBe(204);
  await eventually(async () => {
    const events = await (await fetch(`${url}/v1/events?limit=100&follow=false`)).text();
    expect(events).toContain('"by":"gs-deploy"');
    expect(events).toContain('"by":"oncall"');
  });
  const log = readFileSync(join(folder, 'log'), 'utf8');
  for (const secret of [TOKEN, STEER, REGISTER]) expect(log).not.toContain(secret);
});

test('edge reports count only with a valid token for this site', async () => {
  const report = {
    v: 1,
    site: 'main',
    isolate: 'i1',
    seq: 1,
    from: 0,
    to: 1,
    snapshot: null,
    limits: [],
    requests: [],
    tries: [
      { service: 'gs', instance: 'gs-1', path: 'direct', success: 0, failure: 25, latency: emptySketch() },
    ],
  };
  const send = async (token: string) =>
    (
      await fetch(`${url}/v1/edge-reports`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-acgs-edge': token },
        body: JSON.stringify(report),
      })
    ).status;
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { iss: 'acgs-edge', aud: 'main', iat: seconds, exp: seconds + 60 };
  expect(await send('')).toBe(401);
  expect(await send(token({ ...claims, aud: 'other' }))).toBe(401);
  expect(await send(token({ ...claims, exp: seconds - 1 }))).toBe(401);
  expect(await send(token(claims, 'HS256'))).toBe(401);
  expect((await call('GET', `${instances}/gs-1`)).json.breaker).toBe('closed');
  expect(await send(token(claims))).toBe(204);
  expect((await call('GET', `${instances}/gs-1`)).json).toMatchObject({
    breaker: 'open',
    reason: expect.stringContaining('25 of 25 calls failed'),
  });
});

function token(claims: object, alg = 'ES256'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg, typ: 'JWT', kid: 'e1' })}.${part(claims)}`;
  const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

test('openapi.json lists the routes; the log contains no token', async () => {
  const { json } = await call('GET', '/v1/openapi.json');
  expect(Object.keys(json.paths)).toEqual(
    expect.arrayContaining(['/v1/services', '/v1/explain', '/v1/config']),
  );
  expect(readFileSync(join(folder, 'log'), 'utf8')).not.toContain(TOKEN);
  expect(await end('SIGTERM')).toBe(0);
  await start();
});
