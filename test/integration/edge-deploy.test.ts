import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCloudflareApi } from '../../agent/cli/cloudflare/api.ts';
import { attach } from '../../agent/cli/cloudflare/attachment.ts';
import { deployEdge } from '../../agent/cli/cloudflare/deploy.ts';
import type { EdgeDeployment } from '../../agent/cli/cloudflare/deployment.ts';
import { checkDeployment } from '../../agent/cli/doctor/cloudflare.ts';
import type { Finding } from '../../agent/cli/doctor/finding.ts';
import { bundleWorker } from '../../dev/edge/bundle.ts';
import { startLocalEdge } from '../../dev/edge/miniflare.ts';
import { freePort } from '../../dev/ports.ts';
import { parseConfig } from '../../shared/config/load.ts';
import {
  ACCOUNT_ID,
  API_TOKEN,
  CloudflareAccount,
  startCloudflareApi,
  ZONE_ID,
} from '../harness/cloudflare-api.ts';
import { doctorFacts } from '../harness/doctor-facts.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';

// `acgs-lb edge deploy` with the real wrangler, against an API server in place of Cloudflare's.

const ROOT = join(import.meta.dirname, '../..');
const HOST = 'api.example.com';
const WORKER = 'acgs-lb-edge';

let programDir: string;
let gateway: Origin;
let folder: string;
let account: CloudflareAccount;
let server: Awaited<ReturnType<typeof startCloudflareApi>>;

beforeAll(async () => {
  // Below the checkout, where the command finds its wrangler.
  mkdirSync(join(ROOT, '.build'), { recursive: true });
  programDir = mkdtempSync(join(ROOT, '.build/deploy-'));
  await bundleWorker(ROOT, join(programDir, 'edge'));
  gateway = await startOrigin('gateway');
});
afterAll(async () => {
  await gateway.stop();
  rmSync(programDir, { recursive: true, force: true });
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-deploy-test-'));
  account = new CloudflareAccount();
  server = await startCloudflareApi(account);
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  expect(account.violations).toEqual([]);
});

/** The Workers that answer at their host names, by the number of their upload. */
const running = new Map<number, { url: string; stop: () => Promise<void> }>();
afterEach(async () => {
  await Promise.all([...running.values()].map(({ stop }) => stop()));
  running.clear();
});

/** The Worker that is attached to the host name, with its variables and secrets, in workerd. */
const cloudflare: typeof globalThis.fetch = async (input, init) => {
  const { hostname, pathname } = new URL(String(input));
  const route = account.routes.find(({ pattern }) => pattern === `${hostname}/*`);
  const script = account.scripts.get(account.domains.get(hostname) ?? route?.script ?? '');
  if (!script) throw new TypeError('fetch failed');
  const worker = running.get(script.uploads) ?? (await runWorker(script.bindings));
  running.set(script.uploads, worker);
  const headers = new Headers(init?.headers);
  headers.set('cf-connecting-ip', '203.0.113.1');
  return fetch(worker.url + pathname, { ...init, headers });
};

async function runWorker(bindings: readonly { type: string; name: string; text?: string }[]) {
  const port = await freePort();
  const edge = await startLocalEdge({
    root: ROOT,
    host: '127.0.0.1',
    port,
    vars: Object.fromEntries(
      bindings.flatMap(({ name, text }) => (text === undefined ? [] : [[name, text]])),
    ),
    buildDir: join(programDir, 'edge'),
    bundle: join(programDir, 'edge/index.js'),
  });
  return { url: `http://127.0.0.1:${port}`, stop: () => edge.dispose() };
}

function deploy(part: Partial<EdgeDeployment> = {}, token = API_TOKEN): Promise<Finding[]> {
  const env = { ...process.env, CLOUDFLARE_API_BASE_URL: server.url, CLOUDFLARE_API_TOKEN: token };
  return deployEdge(
    {
      accountId: ACCOUNT_ID,
      zoneName: null,
      host: HOST,
      site: 'main',
      gateway: gateway.url,
      worker: WORKER,
      keysFolder: join(folder, 'keys'),
      attachment: 'domain',
      whenLimited: 'closed',
      vpcService: null,
      ...part,
    },
    {
      api: createCloudflareApi({ token, baseUrl: server.url, fetch }),
      env,
      programDir,
      fetch: cloudflare,
      wait: async () => {},
      report: () => {},
      onFinding: () => {},
    },
  );
}

const states = (findings: readonly Finding[]) => findings.map(({ name, state }) => `${name} ${state}`);
const failure = (findings: readonly Finding[]) => findings.find(({ state }) => state === 'fail');
const edgeEnv = () => parseEnv(readFileSync(join(folder, 'keys/edge.env'), 'utf8'));
const bindingsOf = (worker = WORKER) =>
  Object.fromEntries(account.scripts.get(worker)?.bindings.map((one) => [one.name, one]) ?? []);

function doctor(edgeUrl = `https://${HOST}`, more = ''): Promise<Finding[]> {
  const facts = doctorFacts({
    CLOUDFLARE_API_TOKEN: API_TOKEN,
    CLOUDFLARE_ACCOUNT_ID: ACCOUNT_ID,
    CLOUDFLARE_API_BASE_URL: server.url,
  });
  const config = parseConfig(
    `version: 1\nsite: { id: main }\nedge: { url: '${edgeUrl}' }\n${more}\nservices: { gs: { routes: [/] } }\n`,
  );
  return checkDeployment({ ...facts, config });
}

test('a new edge; a run that fails half-way is completed by the next one, which keeps keys, KV and variables', async () => {
  account.namespaces.set('f'.repeat(32), 'of something else');
  account.failing = (call) =>
    call.startsWith('PUT') && call.endsWith('/domains') ? [500, 1, 'internal'] : null;
  const first = await deploy();
  expect(states(first)).toEqual(['zone ok', 'keys ok', 'KV ok', 'worker ok', 'host name fail']);
  expect(failure(first)?.mend).toContain('run the command again');
  const keys = edgeEnv();
  expect(bindingsOf()).toMatchObject({
    SITES: { text: 'main' },
    FALLBACK_ORIGIN: { text: gateway.url },
    CLIENT_ADDRESS_FROM: { text: 'cloudflare' },
    SNAPSHOT_PUBLIC_KEYS: { text: keys.SNAPSHOT_PUBLIC_KEYS },
    COOKIE_KEYS: { type: 'secret_text', text: keys.COOKIE_KEYS },
    SNAPSHOT_HUB: { class_name: 'SnapshotHub' },
  });
  expect(account.scripts.get(WORKER)?.subdomain).toBe(false);

  // An operator changes a variable on Cloudflare. The next run adds a Workers VPC service.
  const bindings = account.scripts.get(WORKER)?.bindings ?? [];
  for (const one of bindings) if (one.type === 'plain_text' && one.name === 'LOG_SAMPLE') one.text = '0.5';
  account.failing = null;
  account.calls.length = 0;
  expect(states(await deploy({ vpcService: 'service-1' }))).toEqual(
    ['zone', 'keys', 'KV', 'worker', 'host name', 'edge', 'secrets', 'request'].map((name) => `${name} ok`),
  );
  expect(gateway.requests.at(-1)?.headers['x-acgs-edge']).toBeDefined();
  expect(edgeEnv()).toEqual(keys);
  expect(bindingsOf()).toMatchObject({
    LOG_SAMPLE: { text: '0.5' },
    VPC_MAIN: { type: 'vpc_service', service_id: 'service-1' },
    EDGE_TOKEN: { text: keys.EDGE_TOKEN },
  });
  expect([...account.namespaces.values()]).toEqual(['of something else', `${WORKER}-snapshots`]);
  expect([...account.domains]).toEqual([[HOST, WORKER]]);

  expect(states(await doctor())).toEqual(
    ['zone', 'host name', 'worker', 'secrets'].map((name) => `Cloudflare ${name} ok`),
  );
  account.routes = [{ id: 'r', pattern: '*example.com/*', script: 'shop', request_limit_fail_open: false }];
  expect(failure(await doctor())?.detail).toContain('runs the Worker shop before the custom domain');
  account.routes = [];
  account.domains.clear();
  expect(failure(await doctor())?.mend).toContain('acgs-lb edge deploy');
});

test('a route in front of a proxied record fails open when told so; doctor compares it with requireEdge', async () => {
  account.dns.push({ type: 'A', name: HOST, proxied: true });
  const findings = await deploy({ attachment: 'route', whenLimited: 'open' });
  expect(states(findings)).toContain('host name ok');
  expect(account.routes).toMatchObject([
    { pattern: `${HOST}/*`, script: WORKER, request_limit_fail_open: true },
  ]);
  const warnings = (await doctor(`https://${HOST}`, 'haproxy: { requireEdge: true }')).filter(
    ({ state }) => state === 'warn',
  );
  expect(warnings.map(({ detail }) => detail)).toEqual([expect.stringContaining('requireEdge')]);
  account.storesFailureMode = false;
  account.routes = [];
  const wanted = { accountId: ACCOUNT_ID, host: HOST, worker: WORKER, whenLimited: 'open' } as const;
  const api = createCloudflareApi({ token: API_TOKEN, baseUrl: server.url, fetch });
  const unsure = await attach(api, { ...wanted, attachment: 'route' }, ZONE_ID);
  expect(unsure).toMatchObject({ state: 'warn', mend: expect.stringContaining('dashboard') });
});

test('wrangler’s own error is shown, without secrets', async () => {
  account.failing = (call) => {
    if (!call.startsWith('PUT') || !call.includes('/workers/scripts/')) return null;
    return [400, 10021, `Uncaught Error with ${edgeEnv().EDGE_TOKEN} and ${API_TOKEN}`];
  };
  const failed = failure(await deploy());
  expect(failed?.name).toBe('worker');
  expect(failed?.detail).toContain('Uncaught Error with (hidden) and (hidden)');
  expect([...account.domains]).toEqual([]);
});

test.each<[what: string, prepare: () => void, part: Partial<EdgeDeployment>, expected: RegExp]>([
  [
    'zone of another account',
    () => (account.zones = []),
    {},
    /^zone: the token sees no zone for api\.example\.com/,
  ],
  [
    'domain of another Worker',
    () => account.domains.set(HOST, 'shop'),
    {},
    /custom domain of the Worker shop/,
  ],
  [
    'route of another Worker',
    () =>
      account.routes.push({ id: 'r', pattern: `${HOST}/*`, script: 'shop', request_limit_fail_open: false }),
    {},
    /runs the Worker shop/,
  ],
  [
    'route of another Worker for all subdomains',
    () =>
      account.routes.push({
        id: 'r',
        pattern: '*.example.com/*',
        script: 'shop',
        request_limit_fail_open: false,
      }),
    {},
    /route \*\.example\.com\/\* runs the Worker shop before a custom domain → deploy with --route/,
  ],
  [
    'existing DNS record',
    () => account.dns.push({ type: 'CNAME', name: HOST, proxied: true }),
    {},
    /has a DNS record/,
  ],
  ['no record for a route', () => {}, { attachment: 'route' }, /no proxied DNS record/],
  [
    'another Worker of this name',
    () => account.scripts.set(WORKER, { bindings: [], migrationTag: null, subdomain: true, uploads: 1 }),
    {},
    /is not an acgs-lb edge/,
  ],
  [
    'taken KV title',
    () => account.hiddenTitles.add(`${WORKER}-snapshots`),
    {},
    /^KV: .*already exists \(10014\)/,
  ],
  [
    'missing permission for KV',
    () => {
      account.failing = (call) =>
        call.includes('/storage/kv') ? [403, 10000, 'Authentication error'] : null;
    },
    {},
    /^KV: .*Authentication error \(10000\).*lacks a permission/s,
  ],
])('%s: the deployment stops before it changes a Worker or host name', async (_, prepare, part, expected) => {
  prepare();
  const before = account.scripts.get(WORKER)?.uploads ?? 0;
  const failed = failure(await deploy(part));
  expect(`${failed?.name}: ${failed?.detail} → ${failed?.mend}`).toMatch(expected);
  expect(account.scripts.get(WORKER)?.uploads ?? 0).toBe(before);
  expect(account.calls.filter((call) => /^(POST|PUT) .*(routes|domains|scripts)/.test(call))).toEqual([]);
});

test('an invalid token, and keys that would lock out the agents', async () => {
  const failed = failure(await deploy({}, 'not-a-token'));
  expect(`${failed?.detail} ${failed?.mend}`).toMatch(/Invalid access token.*is not valid/);
  const hub = { type: 'durable_object_namespace', name: 'SNAPSHOT_HUB', class_name: 'SnapshotHub' } as const;
  const sites = { type: 'plain_text', name: 'SITES', text: 'eu,main' } as const;
  account.scripts.set(WORKER, { bindings: [hub, sites], migrationTag: 'v1', subdomain: false, uploads: 1 });
  expect(failure(await deploy())?.detail).toContain('would lock out the agents');
  // The keys of the Worker, without those of the other site that it serves.
  writeFileSync(
    join(folder, 'edge.env'),
    'SNAPSHOT_PUBLIC_KEYS=main:k1:AA\nGATEWAY_JWT_KEY=a\nCOOKIE_KEYS=b\nEDGE_TOKEN=c\n',
  );
  expect(failure(await deploy({ keysFolder: folder }))?.detail).toContain('serves site eu');
});

test.each([
  [['--host', 'x.workers.dev'], /^--host: x\.workers\.dev is for trials/],
  [['--host', 'no host'], /^--host: no host is not a host name such as/],
  [['--host', HOST], /^--gateway: Cloudflare cannot reach http:\/\/127\.0\.0\.1:8090: set site\.gateways/],
  [['--host', HOST, '--when-limited', 'open'], /^--when-limited open needs --route/],
  [
    ['--host', HOST, '--gateway', 'https://gw.example.com', '--account', '12'],
    /^--account: 12 is not an account id/,
  ],
  [['--gateway', 'https://gw.example.com'], /^--host is missing, and edge\.url is not set/],
])('wrong usage %j: exit code 2 and a message that names the option', (args, expected) => {
  const { status, stderr } = spawnSync(
    process.execPath,
    ['agent/cli/main.ts', 'edge', 'deploy', '--config', 'acgs-lb.yaml', ...args],
    { cwd: ROOT, encoding: 'utf8', env: { PATH: process.env.PATH, CLOUDFLARE_API_TOKEN: API_TOKEN } },
  );
  expect(stderr).toMatch(expected);
  expect(status).toBe(2);
});
