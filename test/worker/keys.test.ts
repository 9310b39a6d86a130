import { afterEach, expect, test } from 'vitest';
import { signSnapshot, toBase64Url } from '../../shared/snapshot/signature.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';
import { startEdge } from '../harness/edge.ts';
import { startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Key rotation lists two keys for a while. The edge is restarted with another list, as by a deployment. */

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((stop) => stop()));
});

const cookieKey = (kid: string) => `${kid}:${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;

async function edgeWith(vars: Record<string, string>) {
  const edge = await startEdge({ vars });
  cleanups.push(edge.stop);
  return edge;
}

test('COOKIE_KEYS: a cookie of the old key keeps its instance and is resealed; after the key’s removal it is ignored', async () => {
  const origins = await Promise.all(['a', 'b', 'c'].map((name) => startOrigin(name)));
  cleanups.push(...origins.map((origin) => origin.stop));
  const instances = ['a', 'b', 'c'].map((id, at) => instance(id, origins[at]?.url ?? ''));
  const [older, newer] = [cookieKey('old'), cookieKey('new')];
  const edges = await Promise.all(
    [older, `${newer},${older}`, newer].map((keys) => edgeWith({ COOKIE_KEYS: keys })),
  );
  const ask = async (at: number, cookie = '') => {
    const answer = await fetch(`${edges[at]?.url}/`, { headers: { cookie } });
    const { name } = (await answer.json()) as { name: string };
    return { name, cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? null };
  };
  for (const edge of edges) {
    const answer = await edge.publish({
      services: { gs: service({ path: 'direct', affinity: { by: 'cookie', ttl: 3_600_000 }, instances }) },
    });
    expect(answer.status).toBe(200);
  }
  const before = await ask(0);
  expect(before.cookie).toMatch(/^acgs_affinity=old\./);

  const rotated = await ask(1, before.cookie ?? '');
  expect([rotated.name, rotated.cookie]).toEqual([
    before.name,
    expect.stringMatching(/^acgs_affinity=new\./),
  ]);
  // A client that ignores the new cookie keeps its instance too.
  for (let i = 0; i < 4; i++) {
    const again = await ask(1, before.cookie ?? '');
    expect([again.name, again.cookie?.slice(0, 18)]).toEqual([before.name, 'acgs_affinity=new.']);
  }
  expect(await ask(1, rotated.cookie ?? '')).toEqual({ name: before.name, cookie: null });

  for (let i = 0; i < 4; i++) {
    expect(await ask(2, rotated.cookie ?? '')).toEqual({ name: before.name, cookie: null });
  }
  // The key is removed: no error, but a new session.
  expect((await ask(2, before.cookie ?? '')).cookie).toMatch(/^acgs_affinity=new\./);
});

test('SNAPSHOT_PUBLIC_KEYS: two listed keys both publish; a removed one is refused and changes nothing', async () => {
  const keys = await Promise.all(['k1', 'k2'].map(signingKey));
  const listed = keys.map(({ kid, publicText }) => `main:${kid}:${publicText}`);
  const both = await edgeWith({ SNAPSHOT_PUBLIC_KEYS: listed.join(',') });
  const put = async (url: string, at: number, seq: number) => {
    const key = keys[at];
    if (!key) throw new Error('no such key');
    const body = await signSnapshot(snapshot(seq), key);
    return (await fetch(`${url}/__acgs/snapshot/main`, { method: 'PUT', body })).status;
  };
  expect([await put(both.url, 0, 1), await put(both.url, 1, 2), await put(both.url, 0, 3)]).toEqual([
    200, 200, 200,
  ]);
  const after = await edgeWith({ SNAPSHOT_PUBLIC_KEYS: listed[1] ?? '' });
  expect([await put(after.url, 1, 4), await put(after.url, 0, 5)]).toEqual([200, 401]);
  const held = await fetch(`${after.url}/__acgs/snapshot/main`);
  expect(await held.json()).toEqual({ site: 'main', epoch: 1, seq: 4 });
});

async function signingKey(kid: string) {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  const raw = await crypto.subtle.exportKey('raw', pair.publicKey);
  return { kid, privateKey: pair.privateKey, publicText: toBase64Url(new Uint8Array(raw)) };
}

const snapshot = (seq: number): Snapshot => ({
  v: 1,
  site: 'main',
  epoch: 1,
  seq,
  issuedAt: Date.now(),
  gateways: [],
  services: {},
});
