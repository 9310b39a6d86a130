import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { until } from '../../test/harness/until.ts';
import { freePort } from '../ports.ts';
import { startLocalEdge } from './miniflare.ts';

/** A Worker with the bindings of wrangler.toml that only uses KV. */
const READER = `
import { DurableObject } from 'cloudflare:workers';
export class SnapshotHub extends DurableObject {}
export class Limiter extends DurableObject {}
export default { async fetch(request, env) {
  try {
    if (request.method === 'PUT') await env.SNAPSHOTS.put('key', await request.text());
    const bytes = await env.SNAPSHOTS.get('key', 'arrayBuffer');
    return new Response(bytes === null ? 'nothing' : bytes);
  } catch (error) { return new Response(error.message, { status: 500 }); }
} };`;

const folder = mkdtempSync(join(tmpdir(), 'acgs-kv-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function withKv(settings: { kvLagMs?: number; kvDown?: boolean }, use: (url: string) => Promise<void>) {
  const bundle = join(folder, 'index.js');
  writeFileSync(bundle, READER);
  const port = await freePort();
  const root = join(import.meta.dirname, '../..');
  const edge = await startLocalEdge({
    root,
    host: '127.0.0.1',
    port,
    vars: {},
    buildDir: folder,
    bundle,
    ...settings,
  });
  await use(`http://127.0.0.1:${port}`).finally(() => edge.dispose());
}

const text = async (url: string, init?: RequestInit) => (await fetch(url, init)).text();

it('shows a change or a new key only after the lag', async () => {
  const put = (url: string) => text(url, { method: 'PUT', body: 'new' });
  await withKv({ kvLagMs: 600_000 }, async (url) => {
    expect(await text(url)).toBe('nothing');
    expect(await put(url)).toBe('nothing');
    expect(await text(url)).toBe('nothing');
  });
  await withKv({ kvLagMs: 500 }, async (url) => {
    expect(await text(url)).toBe('nothing');
    await put(url);
    expect(await until(async () => (await text(url)) === 'new')).toBe(true);
  });
});

it('fails every call with kvDown', async () => {
  await withKv({ kvDown: true }, async (url) => {
    expect(await text(url)).toBe('KV GET failed: 503 Service Unavailable');
    expect(await text(url, { method: 'PUT', body: 'x' })).toBe('KV PUT failed: 503 Service Unavailable');
  });
});
