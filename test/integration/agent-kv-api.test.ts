import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpFetch } from '../../agent/snapshot/http-fetch.ts';
import { createKvApiPublisher } from '../../agent/snapshot/kv-api.ts';
import type { HttpFetch } from '../../agent/snapshot/publisher.ts';
import { importSigningKey, importVerifyKeys } from '../../shared/snapshot/keys.ts';
import { signSnapshot, verifySnapshot } from '../../shared/snapshot/signature.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';

/** Publishing through the KV REST API, against Wrangler's local runtime. */

const NAMESPACE = 'snapshots-test';
const pair = generateKeyPairSync('ed25519');
const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
const pkcs8 = pair.privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64url');
/** Without a timeout: the agent's timeouts are not tested here. */
const patiently: HttpFetch = (url, init) => httpFetch(url, { ...init, signal: new AbortController().signal });
let miniflare: Miniflare;
let apiUrl: string;

beforeAll(async () => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      unsafeLocalExplorer: true,
      workers: [
        {
          name: 'edge',
          modules: [
            {
              type: 'ESModule',
              path: 'edge.mjs',
              contents: 'export default { fetch: () => new Response() }',
            },
          ],
          compatibilityDate: '2026-01-01',
          kvNamespaces: { SNAPSHOTS: NAMESPACE },
        },
      ],
    }),
  );
  apiUrl = new URL('/cdn-cgi/local/explorer/api', await miniflare.ready).href;
});

afterAll(() => miniflare?.dispose());

test('the edge verifies what was published, and its order can be read back', async () => {
  const options = { apiUrl, accountId: 'local', namespaceId: NAMESPACE, apiToken: 'local', site: 'main' };
  const publisher = createKvApiPublisher(options, patiently);
  const kv = await miniflare.getKVNamespace('SNAPSHOTS', 'edge');
  await kv.delete('snapshot:main');
  expect(await publisher.readOrder?.()).toBeNull();
  const snapshot: Snapshot = {
    v: 1,
    site: 'main',
    epoch: 4,
    seq: 2,
    issuedAt: 1,
    gateways: [],
    services: {},
  };
  const sealed = await signSnapshot(snapshot, await importSigningKey(`k1:${pkcs8}`));
  expect(await publisher.publish(sealed, snapshot, true)).toEqual({ kind: 'accepted' });
  expect(await publisher.readOrder?.()).toEqual({ epoch: 4, seq: 2 });
  const stored = await kv.get('snapshot:main', 'arrayBuffer');
  const keys = await importVerifyKeys(`main:k1:${spki.subarray(-32).toString('base64url')}`);
  expect(await verifySnapshot(new Uint8Array(stored ?? new ArrayBuffer(0)), 'main', keys)).toEqual({
    ok: true,
    snapshot,
  });
});

test('a spent budget writes nothing; a blocked token is reported with its duration', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.writeHead(429).end('{"errors":[{"code":971}]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const blocked = createKvApiPublisher(
    {
      apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,

      accountId: 'a',
      namespaceId: 'n',
      apiToken: 'secret-token',
      site: 'main',
    },
    patiently,
  );
  const order = { epoch: 1, seq: 1 };
  expect(await blocked.publish(new Uint8Array(1), order, false)).toEqual({ kind: 'skipped' });
  expect(asked).toBe(0);
  const result = await blocked.publish(new Uint8Array(1), order, true);
  expect(result).toMatchObject({ kind: 'failed', retryAfterMs: 300_000 });
  expect(JSON.stringify(result)).not.toContain('secret-token');
  await new Promise((resolve) => server.close(resolve));
});
