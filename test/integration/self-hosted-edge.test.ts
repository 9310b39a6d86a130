import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleWorker } from '../../dev/edge/bundle.ts';
import { freePort } from '../../dev/ports.ts';
import { type Child, startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { signSnapshot, toBase64Url, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import { eventually } from '../harness/eventually.ts';
import { envelopeOf } from '../harness/fake-gateway.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

// The edge as `acgs-lb edge` runs it: plain workerd without Cloudflare, Miniflare and KV.

let dir: string;
let port: number;
let origin: Origin;
let edge: Child;
let signingKey: WebCryptoKey;
let publicText: string;

async function start(): Promise<Child> {
  const child = await startChild({
    name: 'edge',
    command: process.execPath,
    args: ['agent/cli/main.ts', 'edge', '--bind', `127.0.0.1:${port}`, '--data-dir', join(dir, 'edge')],
    logFile: join(dir, 'edge.log'),
    env: {
      PATH: process.env.PATH,
      // The layout of an installation: the bundled Worker and workerd beside it.
      ACGS_PROGRAM_DIR: join(dir, 'program'),
      SITES: 'main',
      SNAPSHOT_PUBLIC_KEYS: `main:k1:${publicText}`,
      COOKIE_KEYS: `c1:${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`,
      // Must have no effect: the edge must not trust a header for the client address.
      CLIENT_ADDRESS_FROM: 'cloudflare',
    },
  });
  const health = async () => (await fetch(`http://127.0.0.1:${port}/__acgs/health`)).ok;
  await waitUntilReady(child, health, { timeoutMs: 120_000 });
  return child;
}

async function publish(seq: number, limit = 3): Promise<number> {
  const snapshot = {
    v: 1 as const,
    site: 'main',
    epoch: 1,
    seq,
    issuedAt: Date.now(),
    gateways: [],
    services: {
      gs: service({
        path: 'direct',
        instances: [instance('gs-1', origin.url)],
        failover: { ...service({ instances: [] }).failover, staleIfError: 600_000 },
        rateLimits: [{ name: 'per-ip', key: 'ip', limit, window: 60_000, scope: 'edge' }],
      }),
    },
  };
  const body = await signSnapshot(snapshot, { kid: 'k1', privateKey: signingKey });
  return (await fetch(`http://127.0.0.1:${port}/__acgs/snapshot/main`, { method: 'PUT', body })).status;
}

const ask = (headers: Record<string, string> = {}) => fetch(`http://127.0.0.1:${port}/hello`, { headers });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'acgs-own-'));
  port = await freePort();
  origin = await startOrigin('gs-1');
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  signingKey = pair.privateKey;
  publicText = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)));
  const root = join(import.meta.dirname, '../..');
  await bundleWorker(root, join(dir, 'program/edge'));
  await symlink(join(root, 'node_modules/workerd/bin/workerd'), join(dir, 'program/edge/workerd'));
  edge = await start();
});

afterAll(async () => {
  await edge?.stop();
  await origin?.stop();
  await rm(dir, { recursive: true, force: true });
});

let published = 0;

test('a restarted edge routes by the snapshot on disk', async () => {
  const seq = ++published;
  expect(await publish(seq)).toBe(200);
  await edge.stop();
  edge = await start();
  await expect
    .poll(async () => (await ask()).headers.get('x-acgs-instance'), { timeout: 90_000, interval: 200 })
    .toBe('gs-1');
  expect(await publish(seq)).toBe(409);
});

test('workerd may use its per-CPU allocator cache', async () => {
  const children = await readFile(`/proc/${edge.pid}/task/${edge.pid}/children`, 'utf8');
  const environments = await Promise.all(
    children
      .trim()
      .split(' ')
      .map((pid) => readFile(`/proc/${pid}/environ`, 'utf8')),
  );
  expect(environments.join()).toContain('GLIBC_TUNABLES=glibc.pthread.rseq=0');
});

test('the client address is the address of the connection; headers cannot change it', async () => {
  const statuses = [];
  for (let n = 0; n < 6; n++) statuses.push((await ask({ 'cf-connecting-ip': `203.0.113.${n}` })).status);
  expect(statuses).toContain(429);
  const { headers = {} } = origin.requests.at(-1) ?? {};
  expect(envelopeOf(headers)?.client ?? headers['x-forwarded-for']).toBe('127.0.0.1');
});

test('serves a stored response, marked as stale, when no instance answers', async () => {
  origin.answer((_, response) => {
    response.setHeader('cache-control', 'public, max-age=1');
    response.end('good');
  });
  // Without the limit of the test before.
  expect(await publish(++published, 1_000)).toBe(200);
  expect(await (await ask()).text()).toBe('good');
  origin.answer((_, response) => response.socket?.destroy());
  await eventually(async () => {
    const stale = await ask();
    expect([stale.status, stale.headers.get('x-acgs-stale'), await stale.text()]).toEqual([200, '1', 'good']);
  });
});
