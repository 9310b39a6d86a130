import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { signSnapshot } from '../../shared/snapshot/signature.ts';
import { signSiteDirectory } from '../../shared/snapshot/site-directory.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';
import { bundleOnce, EDGE_TOKEN, signingPair } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Two isolates of the deployable Worker that share one Hub, which counts its requests. There is no KV. */

const SITES = Array.from({ length: 20 }, (_, i) => `s${i}`);
/** A Hub that counts reads, and can store a snapshot in the form of an earlier version. */
const COUNTING_HUB = `
import edge, { Limiter, SnapshotHub as Hub } from './index.js';
export { Limiter };
export class SnapshotHub extends Hub {
  reads = 0;
  read(known) { this.reads += 1; return super.read(known); }
  readCount() { return this.reads; }
  becomeLegacy(held) { this.ctx.storage.kv.put('held', held); }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const legacy = url.searchParams.get('legacy');
    if (!legacy) return new Response(String(await env.SNAPSHOT_HUB.getByName('*').readCount()));
    const sealed = new Uint8Array(await request.arrayBuffer());
    await env.SNAPSHOT_HUB.getByName(legacy).becomeLegacy({ site: legacy, epoch: 7, seq: 3, sealed });
    return new Response('stored');
  },
};`;

let miniflare: Miniflare;
let origin: Origin;
let key: Awaited<ReturnType<typeof signingPair>>;
const ports = { a: 0, b: 0 };

beforeAll(async () => {
  const [{ dir, path }, pair, started] = await Promise.all([bundleOnce(), signingPair(), startOrigin('x')]);
  key = pair;
  origin = started;
  [ports.a, ports.b] = [await freePort(), await freePort()];
  const compatibilityDate = String(
    (JSON.parse(readFileSync(join(dir, 'worker.json'), 'utf8')) as { compatibilityDate: string })
      .compatibilityDate,
  );
  const bundle = { type: 'ESModule' as const, path };
  const object = (className: string) => ({ className, scriptName: 'hub', useSQLite: true });
  const durableObjects = { SNAPSHOT_HUB: object('SnapshotHub'), LIMITER: object('Limiter') };
  const isolate = (name: 'a' | 'b') => ({
    name,
    modules: [bundle],
    modulesRoot: dir,
    compatibilityDate,
    durableObjects,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: ports[name] }],
    bindings: {
      SITES: SITES.join(','),
      SNAPSHOT_PUBLIC_KEYS: SITES.map((site) => `${site}:k-${site}:${key.publicText}`).join(','),
      SITE_DIRECTORY_KEYS: `d1:${key.publicText}`,
      CLIENT_ADDRESS_FROM: 'local',
      EDGE_TOKEN,
    },
  });
  const counting = { type: 'ESModule' as const, path: join(dir, 'counting.mjs'), contents: COUNTING_HUB };
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      workers: [
        { name: 'hub', modules: [counting, bundle], modulesRoot: dir, compatibilityDate, durableObjects },
        isolate('a'),
        isolate('b'),
      ],
    }),
  );
  await miniflare.ready;
});
afterAll(async () => {
  await Promise.all([miniflare.dispose(), origin.stop()]);
});

const sign = (part: Partial<Snapshot> & Pick<Snapshot, 'site'>) =>
  signSnapshot(
    { v: 1, epoch: 1, seq: 1, issuedAt: Date.now(), gateways: [origin.url], services: {}, ...part },
    { kid: `k-${part.site}`, privateKey: key.privateKey },
  );

const publish = async (part: Partial<Snapshot> & Pick<Snapshot, 'site'>): Promise<number> => {
  const url = `http://127.0.0.1:${ports.a}/__acgs/snapshot/${part.site}`;
  return (await fetch(url, { method: 'PUT', body: await sign(part) })).status;
};

/** A service of the site whose instance has had its state since then. */
const unchangedSince = (site: string, since: number): Pick<Snapshot, 'site' | 'services'> => ({
  site,
  services: {
    [site]: service({
      routes: [`/${site}`],
      instances: [instance(`${site}-1`, 'http://192.0.2.1', { since })],
    }),
  },
});

/** The greatest order given so far: every publication is newer, also on a retry. */
let seq = 1;
let directorySeq = 0;

const hubReads = async (): Promise<number> =>
  Number(await (await miniflare.dispatchFetch('http://hub/')).text());

const get = (name: 'a' | 'b', path: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${ports[name]}${path}`);

test('the Hub takes over what the former object of a site stored', async () => {
  const held = await sign({ ...unchangedSince('s0', 1), epoch: 7, seq: 3 });
  await miniflare.dispatchFetch('http://hub/?legacy=s0', { method: 'POST', body: held });
  expect(await (await get('a', '/__acgs/snapshot/s0')).json()).toEqual({ site: 's0', epoch: 7, seq: 3 });
  expect(await publish({ site: 's0', epoch: 1, seq: 99 })).toBe(409);
  expect((await get('a', '/s0')).status).toBe(200);
});

test('a cold isolate gets the snapshots of all sites with one request', async () => {
  for (const site of SITES.slice(1))
    expect(await publish({ ...unchangedSince(site, 1), seq: ++seq })).toBe(200);
  const before = await hubReads();
  const statuses = async () => {
    const answers = await Promise.all(SITES.map((site) => get('b', `/${site}`)));
    return answers.map(({ status }) => status);
  };
  // The cache of the location may hold an answer from before the other sites published.
  await expect.poll(statuses, { timeout: 90_000, interval: 100 }).toEqual(SITES.map(() => 200));
  // At a cold isolate, each of several simultaneous requests asks the Hub, because a request must not wait for another.
  expect((await hubReads()) - before).toBeLessThanOrEqual(SITES.length);
  for (const site of SITES) await get('b', `/${site}`);
  const settled = await hubReads();
  for (let i = 0; i < 200; i++) expect((await get('b', `/${SITES[i % 20]}`)).status).toBe(200);
  expect((await hubReads()) - settled).toBeLessThanOrEqual(1);
});

test('an isolate learns of a change that another isolate accepted, with few requests', async () => {
  const startedAt = Date.now();
  const before = await hubReads();
  const moved = { ...unchangedSince('s1', startedAt), seq: ++seq };
  const { s1 } = moved.services;
  if (!s1) return expect.unreachable();
  expect(await publish({ ...moved, services: { s1: { ...s1, routes: ['/s1', '/moved'] } } })).toBe(200);
  expect((await get('a', '/moved')).status).toBe(200);
  await expect
    .poll(async () => (await get('b', '/moved')).status, { timeout: 90_000, interval: 100 })
    .toBe(200);
  // Two isolates, each at most every 2 s.
  const most = 2 + (2 * (Date.now() - startedAt)) / 2_000;
  expect((await hubReads()) - before).toBeLessThanOrEqual(most);
});

test('a signed directory adds a site to every isolate, and a newer one removes it', async () => {
  const publishDirectory = async (seq: number, entries: string[], kid = 'd1') => {
    const signing = { kid, privateKey: key.privateKey };
    const body = await signSiteDirectory({ v: 1, kind: 'site-directory', seq, entries }, signing);
    return fetch(`http://127.0.0.1:${ports.a}/__acgs/sites`, { method: 'PUT', body });
  };
  const west = { ...unchangedSince('west', Date.now()), seq: ++seq };
  // A failed attempt may have left the site.
  expect((await publishDirectory(++directorySeq, [])).status).toBe(200);
  expect(await publish(west)).toBe(404);
  const entry = `west:k-west:${key.publicText}`;
  expect((await publishDirectory(++directorySeq, [entry], 'k-s1')).status).toBe(401);
  const added = await publishDirectory(directorySeq, [entry]);
  expect([added.status, await added.json()]).toMatchObject([200, { seq: directorySeq }]);
  expect((await publishDirectory(directorySeq, [])).status).toBe(409);
  expect((await publishDirectory(Date.now() + 86_400_000, [])).status).toBe(422);
  expect(await publish(west)).toBe(200);
  const statusAt = (name: 'a' | 'b') => async () => (await get(name, '/west')).status;
  for (const name of ['a', 'b'] as const)
    await expect.poll(statusAt(name), { timeout: 90_000, interval: 100 }).toBe(200);
  expect((await publishDirectory(++directorySeq, [])).status).toBe(200);
  for (const name of ['a', 'b'] as const)
    await expect.poll(statusAt(name), { timeout: 90_000, interval: 100 }).not.toBe(200);
});
