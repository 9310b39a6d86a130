import type { OpenAPIHono } from '@hono/zod-openapi';
import { beforeAll, expect, test } from 'vitest';
import type { ApiScope } from '../../core/api-token.ts';
import { createApp } from './app.ts';
import type { ApiContext, AuditRecord } from './context.ts';
import { registerAlertRoutes } from './routes/alerts.ts';
import { registerSessionRoutes } from './routes/sessions.ts';
import { isAllowed, requiredScope } from './scopes.ts';

const register = (service: string): ApiScope => ({ kind: 'register', service });
const GS = '/v1/services/gs/instances';

/** Everything that a stolen token of each scope can do. */
test.each([
  ['GET', '/v1/status', 'read steer admin'],
  ['GET', '/v1/config', 'read steer admin'],
  ['GET', '/v1/services/gs', 'read register steer admin'],
  ['GET', `${GS}/gs-1`, 'read register steer admin'],
  ['GET', '/v1/services/pgc/instances', 'read steer admin'],
  ['POST', '/v1/token', 'read register steer admin'],
  ['POST', GS, 'register admin'],
  ['DELETE', `${GS}/gs-1`, 'register admin'],
  ['PUT', `${GS}/gs-1/heartbeat`, 'register admin'],
  ['POST', '/v1/services/pgc/instances', 'admin'],
  ['PUT', '/v1/services/pgc/instances/gs-1/heartbeat', 'admin'],
  ['PUT', `${GS}/gs-1/admin`, 'steer admin'],
  ['PUT', `${GS}/gs-1/weight`, 'steer admin'],
  ['POST', '/v1/publish', 'steer admin'],
  ['POST', '/v1/alerts/silences', 'steer admin'],
  ['POST', '/v1/sessions', 'steer admin'],
  ['PUT', '/v1/config', 'admin'],
  ['POST', '/v1/unknown', 'admin'],
  ['PATCH', `${GS}/gs-1`, 'admin'],
])('%s %s: %s', (method, path, allowed) => {
  const scopes: ApiScope[] = [{ kind: 'read' }, register('gs'), { kind: 'steer' }, { kind: 'admin' }];
  const required = requiredScope(method, path);
  const names = scopes.filter((scope) => isAllowed(scope, required)).map(({ kind }) => kind);
  expect(names.join(' ')).toBe(allowed);
});

interface ApiOperation {
  security: object[];
  responses: object;
  requestBody?: object;
}

const audited: AuditRecord[] = [];
const requests: [what: string, by: string][] = [];
let app: OpenAPIHono;

beforeAll(() => {
  const refused = (what: string) => async (by: string) => {
    requests.push([what, by]);
    return { ok: false, why: 'unknown', detail: 'none' } as const;
  };
  const context = {
    config: () => ({ agent: { bind: '192.0.2.1:9400', hosts: [] }, services: {} }),
    registry: {
      register: (_: unknown, by: string) => refused('register')(by),
      setWeight: (_: string, __: string, ___: number, by: string) => refused('weight')(by),
    },
    publish: () => ({ epoch: 1, seq: 1 }),
    audit: (record: AuditRecord) => audited.push(record),
    now: () => 5,
    log: { warn() {}, error() {} },
  } as unknown as ApiContext;
  app = createApp({
    context,
    version: '0',
    tokens: [
      { name: 'admin', scope: { kind: 'admin' }, secret: 'admin-secret' },
      { name: 'gs-1', scope: register('gs'), secret: 'gs-secret' },
      { name: 'oncall', scope: { kind: 'steer' }, secret: 'oncall-secret' },
    ],
    extend(extended) {
      registerSessionRoutes(extended, { sessions: {} as never, instances: () => new Map() });
      registerAlertRoutes(extended, { alerts: {} as never, rules: () => [], services: () => [] });
    },
  });
});

interface CallOptions {
  body?: object;
  actor?: string;
}

async function call(token: string, method: string, path: string, { body, actor }: CallOptions = {}) {
  const response = await app.request(
    path,
    {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...(actor && { 'x-acgs-actor': actor }),
      },
      ...(body && { body: JSON.stringify(body) }),
    },
    { incoming: { socket: { remoteAddress: '192.0.2.9' } } },
  );
  const json = (await response.json()) as {
    paths: Record<string, Record<string, { security: object[] }>>;
    components: { securitySchemes: object };
  };
  return { status: response.status, headers: response.headers, json };
}

test('a token registers instances of its service only and learns which scope it lacks', async () => {
  const body = { id: 'gs-9', url: 'http://127.0.0.1:9' };
  expect((await call('gs-secret', 'POST', GS, { body })).status).toBe(404);
  const invalid = await call('gs-secret', 'POST', GS, { body: { ...body, url: 'ftp://x', weight: 0 } });
  expect(invalid).toMatchObject({
    status: 400,
    json: { detail: expect.stringMatching(/^url: must be .*; found "ftp:\/\/x"; weight: .*; found 0$/) },
  });
  const other = await call('gs-secret', 'POST', '/v1/services/pgc/instances', { body });
  expect(other).toMatchObject({
    status: 403,
    json: { detail: 'the token gs-1 has the scope register/gs; this request needs register/pgc' },
  });
  expect(other.headers.get('www-authenticate')).toContain('error="insufficient_scope"');
  expect((await call('gs-secret', 'PUT', '/v1/config')).status).toBe(403);
  expect((await call('oncall-secret', 'PUT', '/v1/config')).status).toBe(403);
});

test('a change names the token first; a client cannot claim the name of another token', async () => {
  requests.length = 0;
  await call('oncall-secret', 'PUT', `${GS}/gs-1/weight`, { body: { weight: 1 }, actor: 'admin/ada' });
  await call('admin-secret', 'PUT', `${GS}/gs-1/weight`, { body: { weight: 1 } });
  expect(requests).toEqual([
    ['weight', 'oncall/adminada'],
    ['weight', 'admin'],
  ]);
});

test('other writes are audited with the name of the token when they succeed', async () => {
  audited.length = 0;
  expect((await call('gs-secret', 'POST', '/v1/publish')).status).toBe(403);
  expect((await call('oncall-secret', 'POST', '/v1/publish', { actor: 'ada' })).status).toBe(202);
  expect(audited).toEqual([{ at: 5, actor: 'oncall/ada', action: 'post', target: '/v1/publish' }]);
});

const commonStatuses = (method: string, path: string, hasBody: boolean): number[] => [
  ...(path.startsWith('/v1/') ? [401, 429, 500] : [500]),
  ...(path !== '/v1/edge-reports' ? [403] : []),
  ...(hasBody ? [400] : []),
  ...(method === 'get' ? [] : [413]),
  ...(method === 'get' || path === '/v1/config' ? [] : [415]),
];

test('the OpenAPI document states who may call each operation and every status it can answer', async () => {
  const { json } = await call('oncall-secret', 'GET', '/v1/openapi.json');
  const operations = Object.entries(json.paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, ApiOperation>).map(([method, operation]) => ({
      path,
      method,
      ...operation,
    })),
  );
  const schemes = Object.keys(json.components.securitySchemes);
  for (const { path, method, security, responses, requestBody } of operations) {
    const label = `${method} ${path}`;
    expect(security, label).toBeInstanceOf(Array);
    for (const each of security) {
      for (const name of Object.keys(each)) expect(schemes, label).toContain(name);
    }
    const wanted = commonStatuses(method, path, requestBody !== undefined);
    expect(Object.keys(responses), label).toEqual(expect.arrayContaining(wanted.map(String)));
  }
  const securityOf = (path: string, method: string) => json.paths[path]?.[method]?.security;
  expect(securityOf('/v1/services/{service}/instances', 'post')).toEqual([
    { bearer: ['register/{service}'] },
  ]);
  expect(securityOf('/v1/config', 'put')).toEqual([{ bearer: ['admin'] }]);
  expect(securityOf('/v1/edge-reports', 'post')).toEqual([{ edgeToken: [] }]);
  expect(securityOf('/v1/services', 'get')).toEqual([{}, { bearer: ['read'] }]);
  expect(securityOf('/health', 'get')).toEqual([]);
});

test('examples in the OpenAPI document use documentation addresses', async () => {
  const { json } = await call('oncall-secret', 'GET', '/v1/openapi.json');
  const addresses = JSON.stringify(json).match(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g) ?? [];
  expect(addresses.filter((address) => !address.startsWith('192.0.2.'))).toEqual([]);
});
