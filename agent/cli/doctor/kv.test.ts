import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { httpFetch } from '../../snapshot/http-fetch.ts';
import { createKvApiPublisher } from '../../snapshot/kv-api.ts';
import type { DoctorInput } from './input.ts';
import { checkKv } from './kv.ts';

/*
 * A fake of the KV part of Cloudflare's REST API with its envelope, status and error codes: 400 for a malformed token,
 * 401 for an unknown token, 403 for a missing permission, 404 for an invalid account id, and so on.
 */
const ACCOUNT = '0123456789abcdef0123456789abcdef';
const NAMESPACE = 'fedcba9876543210fedcba9876543210';
const TOKENS: Record<string, 'edit' | 'read' | 'none'> = {
  ['e'.repeat(40)]: 'edit',
  ['r'.repeat(40)]: 'read',
  ['n'.repeat(40)]: 'none',
};
const [EDIT, READ, NONE] = Object.keys(TOKENS) as [string, string, string];
const stored = new Map<string, string>();
let throttled = false;
let server: Server;
let apiUrl: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const { status, text } = answer(
        request.method ?? '',
        request.url ?? '',
        request.headers.authorization,
        body,
      );
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const envelope = (result: unknown, more = {}) =>
  JSON.stringify({ result, success: true, errors: [], messages: [], ...more });
const refusal = (status: number, code: number, message: string, chain?: object[]) => ({
  status,
  text: JSON.stringify({
    success: false,
    errors: [{ code, message, ...(chain && { error_chain: chain }) }],
    messages: [],
    result: null,
  }),
});

function answer(
  method: string,
  url: string,
  authorization = '',
  body: string,
): { status: number; text: string } {
  const { pathname, searchParams } = new URL(url, 'http://api');
  const token = /^Bearer ([\w-]{40})$/.exec(authorization)?.[1];
  if (!token) {
    const chain = [{ code: 6111, message: 'Invalid format for Authorization header' }];
    return refusal(400, 6003, 'Invalid request headers', chain);
  }
  if (throttled) return refusal(429, 971, 'Please wait and consider throttling your request speed');
  const right = TOKENS[token];
  if (!right) return refusal(401, 1000, 'Invalid API Token');
  const [, account, namespace, rest = ''] =
    /^\/client\/v4\/accounts\/([^/]+)\/storage\/kv\/namespaces\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
  if (!account || !/^[0-9a-f]{32}$/.test(account)) {
    return refusal(404, 7003, `Could not route to ${pathname}, perhaps your object identifier is invalid?`);
  }
  if (right === 'none' || account !== ACCOUNT) return refusal(403, 10_000, 'Authentication error');
  if (namespace !== NAMESPACE) return refusal(404, 10_013, "get namespace: 'namespace not found'");
  return answerInNamespace(rest, searchParams, { method, body, canWrite: right === 'edit' });
}

function answerInNamespace(
  rest: string,
  searchParams: URLSearchParams,
  { method, body, canWrite }: { method: string; body: string; canWrite: boolean },
): { status: number; text: string } {
  const key = /^\/values\/(.+)$/.exec(rest)?.[1];
  if (rest === '/keys') {
    if (Number(searchParams.get('limit')) < 10)
      return refusal(400, 10_005, 'invalid limit: must be at least 10');
    const result = [...stored.keys()].map((name) => ({ name }));
    return { status: 200, text: envelope(result, { result_info: { count: result.length, cursor: '' } }) };
  }
  if (!key) return refusal(404, 7003, 'Could not route');
  if (method === 'GET') {
    const value = stored.get(decodeURIComponent(key));
    return value === undefined ? refusal(404, 10_009, "get: 'key not found'") : { status: 200, text: value };
  }
  if (!canWrite) return refusal(403, 10_000, 'Authentication error');
  stored.set(decodeURIComponent(key), body);
  return { status: 200, text: envelope(null) };
}

const config = parseConfig(
  'version: 1\nsite: { id: main }\nedge: { publish: { kvApi: true } }\nservices: { gs: { routes: [/] } }\n',
);
/** The API runs in this process, so a busy machine delays both sides: no timeout. */
const noTimeout = { signal: new AbortController().signal };
const fetchWithoutTimeout: typeof fetch = (input, init) => fetch(input, { ...init, ...noTimeout });
const check = (env: Record<string, string>, fetch = fetchWithoutTimeout) => {
  const input: DoctorInput = {
    stateDir: '/nowhere',
    stack: null,
    configFile: '',
    config,
    fetch,
    now: Date.now,
    env: {
      CF_API_TOKEN: READ,
      CF_ACCOUNT_ID: ACCOUNT,
      CF_KV_NAMESPACE_ID: NAMESPACE,
      CF_API_URL: apiUrl,
      ...env,
    },
  };
  return checkKv(input);
};

test('a token that can read the namespace passes, with or without write permission', async () => {
  expect((await check({})).state).toBe('ok');
  expect((await check({ CF_API_TOKEN: EDIT })).state).toBe('ok');
});

test.each([
  ['a truncated token', { CF_API_TOKEN: 'short' }, '6003', 'CF_API_TOKEN is not an API token'],
  ['a rolled token', { CF_API_TOKEN: 'x'.repeat(40) }, '401', 'not expired, not rolled'],
  ['a token without the permission', { CF_API_TOKEN: NONE }, '403', 'Workers KV Storage: Edit'],
  ['an account name instead of its id', { CF_ACCOUNT_ID: 'My account' }, '7003', 'CF_ACCOUNT_ID'],
  ['a foreign account', { CF_ACCOUNT_ID: 'a'.repeat(32) }, '403', 'on this account'],
  [
    'an unknown namespace',
    { CF_KV_NAMESPACE_ID: 'b'.repeat(32) },
    'namespace not found',
    'wrangler kv namespace list',
  ],
] as [string, Record<string, string>, string, string][])('%s', async (_, env, detail, mend) => {
  const finding = await check(env);
  expect(finding).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining(detail),
    mend: expect.stringContaining(mend),
  });
  expect(JSON.stringify(finding)).not.toContain(env.CF_API_TOKEN ?? READ);
});

test('an unreachable API is named', async () => {
  const unreachable = () =>
    Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') }));
  expect(await check({}, unreachable)).toMatchObject({
    state: 'fail',
    detail: 'connect ECONNREFUSED',
    mend: expect.stringContaining('must be able to reach 127.0.0.1'),
  });
});

test('a throttled token gets the advice to wait', async () => {
  throttled = true;
  try {
    expect(await check({})).toMatchObject({ state: 'warn', mend: expect.stringContaining('five minutes') });
  } finally {
    throttled = false;
  }
});

test('the publisher writes, reads its order back, and explains a rejected write', async () => {
  const publisher = (apiToken: string) =>
    createKvApiPublisher(
      { apiUrl, accountId: ACCOUNT, namespaceId: NAMESPACE, apiToken, site: 'main' },
      (url, options) => httpFetch(url, { ...options, ...noTimeout }),
    );
  const sealed = new TextEncoder().encode('k1.signature\n{"v":1,"epoch":4,"seq":2}');
  const order = { epoch: 4, seq: 2 };
  stored.clear();
  expect(await publisher(EDIT).readOrder?.()).toBeNull();
  expect(await publisher(EDIT).publish(sealed, order, true)).toEqual({ kind: 'accepted' });
  expect(stored.get('snapshot:main')).toContain('"epoch":4');
  expect(await publisher(READ).readOrder?.()).toEqual(order);
  expect(await publisher(READ).publish(sealed, order, true)).toEqual({
    kind: 'failed',
    error: 'KV API answered 403: Authentication error (10000)',
  });
});
