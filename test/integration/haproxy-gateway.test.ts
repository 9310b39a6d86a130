import { expect, test } from 'vitest';
import type { EnvelopeFields } from '../../shared/envelope.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  edgeKey,
  type HaproxyHarness,
  releaseAfterTests,
  signToken,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

let harness: HaproxyHarness;
let agent: Origin;
const [oldKey, newKey, strangerKey] = [edgeKey('old'), edgeKey('new/2'), edgeKey('old')];
const origins = new Map<string, Origin>();

startBeforeTests(async () => {
  for (const name of ['a-1', 'a-2', 'a-3', 'b-1', 'h-1', 'agent']) {
    const origin = await startOrigin(name);
    releaseAfterTests(origin.stop);
    origins.set(name, origin);
  }
  agent = origin('agent');
  harness = await startHaproxyHarness({
    services: `a:
  routes: [/, /api/v1/auth]
  maxconn: 10
  instances:
    - { id: a-1, url: "${origin('a-1').url}" }
    - { id: a-2, url: "${origin('a-2').url}" }
    - { id: a-3, url: "${origin('a-3').url}", priority: 2 }
stats:
  routes: [/api]
  instances: [ { id: b-1, url: "${origin('b-1').url}" } ]
h.x:
  routes: [/api/v1/auth]
  hosts: [h.example]
  instances: [ { id: h-1, url: "${origin('h-1').url}" } ]
empty:
  routes: [/empty]`,
    keys: [oldKey, newKey],
    agentBind: `:${agent.port}`,
    haproxy: 'rateLimit: 20/10s',
  });
});

function origin(name: string): Origin {
  const found = origins.get(name);
  if (!found) throw new Error(`no origin ${name}`);
  return found;
}

/** The headers of an edge request: a valid envelope with the client's address, by default an unused one. */
let clients = 0;
const edgeHeaders = (fields: Partial<EnvelopeFields> = {}) =>
  harness.edgeHeaders({ client: `198.51.100.${++clients % 250}`, ...fields });
const call = (path: string, headers: Record<string, string> = edgeHeaders(), init: RequestInit = {}) =>
  fetch(`${harness.gateway}${path}`, { headers, redirect: 'manual', ...init });
const servedBy = async (path: string, headers?: Record<string, string>) => {
  const answer = await call(path, headers);
  return answer.status === 200 ? answer.headers.get('x-acgs-instance') : answer.status;
};
const lastSeen = (name: string) =>
  origin(name)
    .requests.filter(({ url }) => url !== '/health')
    .at(-1);

test('routes go by the longest prefix at a segment boundary, and by host', async () => {
  const target = { target: 'a-1' };
  expect(await servedBy('/api/v1/auth', edgeHeaders(target))).toBe('a-1');
  expect(await servedBy('/api/v1/auth/x?y', edgeHeaders(target))).toBe('a-1');
  expect(await servedBy('/api/v1/authority')).toBe('b-1');
  expect(await servedBy('/api')).toBe('b-1');
  expect(await servedBy('/apix', edgeHeaders(target))).toBe('a-1');
  const host = { host: 'H.example:8443' };
  expect(await servedBy('/api/v1/auth/x', edgeHeaders(host))).toBe('h-1');
  expect(await servedBy('/api/v1/x', edgeHeaders(host))).toBe('b-1');
  expect(await servedBy('/__acgs/status')).toBe(404);
});

test('the service that the edge names is used, when it exists and the token is valid', async () => {
  expect(await servedBy('/api', edgeHeaders({ service: 'h.x' }))).toBe('h-1');
  expect(await servedBy('/api', edgeHeaders({ service: 'removed' }))).toBe('b-1');
  expect(await servedBy('/api', edgeHeaders({ service: '_agent' }))).toBe('b-1');
  expect(await servedBy('/api', { 'x-acgs-edge': ';;;;;h.x', 'x-acgs-service': 'h.x' })).toBe(401);
});

test('paths that could bypass an access rule are rejected', async () => {
  const { request } = await import('node:http');
  const raw = (path: string) =>
    new Promise<number>((resolve, reject) => {
      request(`${harness.gateway}`, { path, headers: edgeHeaders(), agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  for (const path of [
    '/x/../admin',
    '/x/%2e%2E/admin',
    '/./admin',
    '/x/..;/admin',
    '/x/%252e%252e/y',
    '/..',
    '/\\admin',
  ]) {
    expect(`${path} ${await raw(path)}`).toBe(`${path} 400`);
  }
  for (const path of ['/admin', '/ADMIN/x', '/%61dmin', '//admin', '/%2561dmin/', '/admin;x=1']) {
    expect(`${path} ${await raw(path)}`).toBe(`${path} 403`);
  }
  expect(await raw('/administrator')).toBe(200);
  const inside = edgeHeaders({ client: '10.1.2.3' });
  expect((await call('/admin', inside)).status).toBe(200);
});

test('edge headers count only with a valid token', async () => {
  const fields = { target: 'a-2', client: '203.0.113.9' };
  const withToken = (token: string) => servedBy('/t', harness.edgeHeaders(fields, token));
  const now = Math.floor(Date.now() / 1000);
  for (let repeat = 0; repeat < 2; repeat++) {
    expect(await withToken(harness.token())).toBe('a-2');
    expect(await withToken(signToken({}, newKey))).toBe('a-2');
    expect(await withToken(harness.token({ exp: now - 1 }))).toBe(401);
    expect(await withToken(harness.token({ exp: undefined }))).toBe(401);
    expect(await withToken(harness.token({ exp: now + 3600 }))).toBe(401);
    expect(await withToken(harness.token({ aud: 'other' }))).toBe(401);
    expect(await withToken(harness.token({ iss: 'other' }))).toBe(401);
    expect(await withToken(signToken({}, strangerKey))).toBe(401);
    expect(await withToken('nonsense')).toBe(401);
    const good = harness.token();
    expect(await withToken(good)).toBe('a-2');
    expect(await withToken(`${good.slice(0, -6)}AAAAAA`)).toBe(401);
  }
  const refused = await call('/t', harness.edgeHeaders(fields, 'nonsense'));
  expect(refused.headers.get('x-acgs-unsent')).toBe('1');
  expect(refused.headers.get('content-type')).toBe('application/problem+json');
});

test('a verified token is cached until it expires', async () => {
  const entries = async () => Number(/used:(\d+)/.exec(await harness.execute('show table _tokens'))?.[1]);
  let ask = (): ReturnType<typeof servedBy> => Promise.reject(new Error('no token was tried'));
  // If a busy machine blocks for the lifetime of a token, retry with the next one.
  const news = await until(async () => {
    const exp = Math.floor(Date.now() / 1000) + 4;
    const token = harness.token({ exp });
    ask = () => servedBy('/t', harness.edgeHeaders({ target: 'a-1' }, token));
    const before = await entries();
    const said = [];
    for (let use = 0; use < 2; use++) said.push(await ask(), (await entries()) - before);
    return (Date.now() / 1000 < exp || !said.includes(401)) && said;
  });
  expect(news).toEqual(['a-1', 1, 'a-1', 1]);
  await expect.poll(ask, { timeout: 60_000 }).toBe(401);
});

test('x-acgs headers of clients are removed; those of the edge do not reach instances', async () => {
  const forged = {
    'x-acgs-instance': 'a-3',
    'x-acgs-client': '10.0.0.1',
    'x-acgs-x': '1',
    'x-forwarded-for': '1.2.3.4',
  };
  const answer = await call('/admin', forged);
  // 127.0.0.1 is allowed.
  expect(answer.headers.get('x-acgs-instance')).not.toBe('a-3');
  const seen = lastSeen(answer.headers.get('x-acgs-instance') ?? '');
  expect(Object.keys(seen?.headers ?? {}).filter((name) => name.startsWith('x-acgs-'))).toEqual([]);
  expect(seen?.headers['x-forwarded-for']).toBe('1.2.3.4, 127.0.0.1');

  await call('/e', {
    ...edgeHeaders({ target: 'a-3', client: '203.0.113.7', requestId: 'r1' }),
    'x-forwarded-for': '1.2.3.4',
    'x-request-id': 'forged',
  });
  const fromEdge = lastSeen('a-3')?.headers;
  expect(fromEdge?.['x-forwarded-for']).toBe('1.2.3.4, 203.0.113.7');
  expect(fromEdge?.['x-request-id']).toBe('r1');
  expect(Object.keys(fromEdge ?? {}).filter((name) => name.startsWith('x-acgs-'))).toEqual([]);
});

test('edge reports reach the agent only with a valid token, never from a client of the edge', async () => {
  const post = (headers: Record<string, string>, method = 'POST') =>
    call('/__acgs/edge-reports', headers, { method, ...(method === 'POST' && { body: '{"v":1}' }) });
  const before = agent.requests.length;
  const token = harness.token();
  expect((await post({})).status).toBe(404);
  expect((await post({ 'x-acgs-edge': token }, 'GET')).status).toBe(404);
  expect((await post(harness.edgeHeaders({ client: '203.0.113.7' }, token))).status).toBe(404);
  expect(agent.requests).toHaveLength(before);
  expect((await post({ 'x-acgs-edge': token })).status).toBe(200);
  expect(agent.requests.at(-1)).toMatchObject({ method: 'POST', url: '/v1/edge-reports', body: '{"v":1}' });
  expect(agent.requests.at(-1)?.headers['x-acgs-edge']).toBe(token);
});

test('the 21st request of a client within the window gets 429; edge requests are not counted', async () => {
  // A request without a token counts as a client's, even on a connection that the edge used.
  const { Agent, request } = await import('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const status = (headers: Record<string, string>) =>
    new Promise<{ status: number; retryAfter: string | undefined }>((resolve, reject) => {
      request(`${harness.gateway}/limit`, { agent, headers }, (answer) => {
        answer
          .resume()
          .on('end', () =>
            resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] }),
          );
      })
        .on('error', reject)
        .end();
    });
  const one = { client: '2001:db8::1' };
  for (let count = 0; count < 30; count++) expect((await status(edgeHeaders(one))).status).toBe(200);
  // More than 21: HAProxy estimates the share of the previous window. Repeat all of them if a busy machine was slower
  // than the window.
  const last = await until(async () => {
    const began = performance.now();
    const answers = [];
    for (let count = 0; count < 30; count++) answers.push(await status({}));
    const last = answers.slice(-5);
    return (performance.now() - began < 1_000 || last.every((answer) => answer.status === 429)) && last;
  });
  agent.destroy();
  expect(last).toEqual(Array(5).fill({ status: 429, retryAfter: '10' }));
  expect((await call('/limit')).status).toBe(200);
  const counted = await harness.execute('show table _limit');
  expect(counted).toContain('127.0.0.1');
  expect(counted).not.toContain('2001:db8');
});

test('backups take over when no primary is left; an empty service marks its 503 as unsent', async () => {
  for (const id of ['a-1', 'a-2']) await harness.execute(`set server a/${id} state ready`);
  const used = new Set<unknown>();
  await until(async () => used.add(await servedBy('/b')).size > 1);
  expect(used).toEqual(new Set(['a-1', 'a-2']));
  await harness.execute('set server a/a-1 state maint');
  await harness.execute('set server a/a-2 state maint');
  expect(await servedBy('/b')).toBe('a-3');
  await harness.execute('set server a/a-1 state ready');
  await harness.execute('set server a/a-2 state ready');
  const post = await call('/empty', edgeHeaders(), { method: 'POST', body: 'x' });
  expect(post.status).toBe(503);
  expect(post.headers.get('x-acgs-unsent')).toBe('1');
  expect(post.headers.get('retry-after')).toBe('5');
  expect(await post.json()).toMatchObject({ status: 503, title: 'Service Unavailable' });
  expect((await call('/empty')).headers.get('x-acgs-unsent')).toBeNull();
});

test("an instance's own 503 is passed on without the mark, and its x-acgs-* headers are dropped", async () => {
  origin('b-1').answer(({ url }, response) => {
    // It passes its checks, so HAProxy keeps it in.
    if (url === '/health') {
      response.end();
      return;
    }
    response.writeHead(503, { 'x-acgs-unsent': '1', 'x-acgs-instance': 'forged', 'x-frame-options': 'DENY' });
    response.end('mine');
  });
  const answer = await call('/api', edgeHeaders(), { method: 'POST', body: 'x' });
  expect([answer.status, await answer.text()]).toEqual([503, 'mine']);
  expect(answer.headers.get('x-acgs-unsent')).toBeNull();
  expect(answer.headers.get('x-acgs-instance')).toBe('b-1');
  expect(answer.headers.get('x-frame-options')).toBe('DENY');
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
});

test('requests with a session stay with one instance, others are balanced', async () => {
  const headers = edgeHeaders({ client: '203.0.113.77' });
  const balanced = new Set<unknown>();
  // Two draws may be the same.
  await until(async () => balanced.add(await servedBy('/s', headers)).size > 1);
  expect(balanced).toEqual(new Set(['a-1', 'a-2']));
  const pinned = new Set<unknown>();
  for (let count = 0; count < 12; count++)
    pinned.add(await servedBy('/s', { ...headers, 'x-governance-session': 'abc' }));
  expect(pinned.size).toBe(1);
});

test('statistics require the password; health and metrics do not', async () => {
  expect((await fetch(`${harness.stats}/stats`)).status).toBe(401);
  const authorization = `Basic ${btoa(`${harness.secrets.statsUser}:${harness.secrets.statsPassword}`)}`;
  expect((await fetch(`${harness.stats}/stats`, { headers: { authorization } })).status).toBe(200);
  for (const path of ['/stats/prometheus', '/metrics']) {
    expect(await (await fetch(`${harness.stats}${path}`)).text()).toContain(
      'haproxy_server_status{proxy="a",server="a-1"',
    );
  }
  const health = await fetch(`${harness.stats}/health`);
  expect([health.status, await health.json()]).toEqual([
    200,
    { status: 'degraded', services: { a: 2, stats: 1, 'h.x': 1, empty: 0 } },
  ]);
});
