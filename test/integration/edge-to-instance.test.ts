import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { headerValues, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';
import {
  edgeKey,
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** The whole path: the deployed Worker in workerd, HAProxy as rendered, and an application. */

const HOST = 'www.example';
const key = edgeKey('k1');
const nginx = findProgram('nginx');
let edge: TestEdge;
let gateway: HaproxyHarness;
let origin: RawOrigin;
let files: { url: string; folder: string } | null = null;

startBeforeTests(async () => {
  origin = await startRawOrigin();
  releaseAfterTests(() => origin.stop());
  files = nginx ? await startWebDav(nginx) : null;
  const services = [
    `raw: { routes: [/raw], timeout: 600s, health: { type: tcp }, instances: [{ id: raw-1, url: "${origin.url}" }] }`,
    ...(files
      ? [`files: { routes: [/], health: { type: tcp }, instances: [{ id: files-1, url: "${files.url}" }] }`]
      : []),
  ];
  gateway = await startHaproxyHarness({ services: services.join('\n'), keys: [key] });
  const der = key.privateKey.export({ type: 'pkcs8', format: 'der' });
  edge = await startEdge({ vars: { GATEWAY_JWT_KEY: `${key.kid}:${der.toString('base64url')}` } });
  releaseAfterTests(edge.stop);
  const published = await edge.publish({
    gateways: [gateway.gateway],
    services: {
      raw: service({ routes: ['/raw'], instances: [instance('raw-1', origin.url)] }),
      files: service({ routes: ['/'], instances: [instance('files-1', files?.url ?? origin.url)] }),
    },
  });
  expect(published.status).toBe(200);
});

/** nginx with WebDAV, which compares `Destination` with `Host` and redirects a folder to its absolute URL. */
async function startWebDav(command: string) {
  const folder = createPrivateFolder('acgs-dav');
  const port = await freePort();
  mkdirSync(join(folder, 'root/folder'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
http { access_log off; ${temporary.join(' ')}
  server { listen 127.0.0.1:${port}; root ${folder}/root; port_in_redirect off;
    location / { dav_methods PUT DELETE MKCOL COPY MOVE; autoindex on; } } }\n`,
  );
  const child = await startChild({
    name: 'nginx',
    command,
    args: ['-e', 'stderr', '-c', join(folder, 'nginx.conf')],
    logFile: join(folder, 'log'),
  });
  releaseAfterTests(async () => {
    await child.stop();
    removeFolder(folder);
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(child, async () => (await fetch(`${url}/`)).ok);
  return { url, folder };
}

const entries = [
  ['through the edge', () => edge.url],
  ['at the gateway', () => gateway.gateway],
] as const;

describe.each(entries)('%s', (entry, url) => {
  const ask = (request: string) =>
    rawExchange(
      url(),
      request.replaceAll('\n', '\r\n').replace('\r\n', `\r\nHost: ${HOST}\r\nConnection: close\r\n`),
      /\r\n\r\n/,
    );

  test.skipIf(!nginx)('the application sees the host of the client: redirects and WebDAV work', async () => {
    const redirect = await ask('GET /folder HTTP/1.1\n\n');
    expect(redirect).toMatch(/^HTTP\/1\.1 301 /);
    expect(headerValues(redirect, 'location')).toEqual([`http://${HOST}/folder/`]);
    expect(await ask('PUT /a HTTP/1.1\nContent-Length: 2\n\nok')).toMatch(/^HTTP\/1\.1 20[14] /);
    const moved = await ask(`MOVE /a HTTP/1.1\nDestination: http://${HOST}/b\n\n`);
    expect(moved).toMatch(/^HTTP\/1\.1 20[14] /);
    expect(await ask('GET /b HTTP/1.1\n\n')).toMatch(/\r\n\r\nok$/);
    // nginx refuses another server's URL, so the comparison is real.
    expect(await ask('MOVE /b HTTP/1.1\nDestination: http://other.example/c\n\n')).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  // To workerd a client that closes is one that half-closes: see below.
  const ends = entry === 'at the gateway' ? (['resets', 'closes'] as const) : (['resets'] as const);
  test.each(['GET', 'POST'].flatMap((method) => ends.map((end) => [method, end] as const)))(
    'the instance notices that a client hangs up before the response: %s, the client %s its connection',
    async (method, end) => {
      const arrived = Promise.withResolvers<Socket>();
      origin.onRequest((socket) => arrived.resolve(socket));
      const { hostname, port } = new URL(url());
      const client = connect(Number(port), hostname, () => {
        const body = method === 'POST' ? 'Content-Length: 2\r\n\r\nok' : '\r\n';
        client.write(`${method} /raw/slow HTTP/1.1\r\nHost: ${HOST}\r\n${body}`);
      });
      client.on('error', () => {});
      const socket = await arrived.promise;
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      if (end === 'resets') client.resetAndDestroy();
      else client.destroy();
      await closed;
      // A request that its client has given up is not the instance's failure.
      origin.onRequest((next) => next.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
      expect(await ask('GET /raw/next HTTP/1.1\n\n')).toMatch(/^HTTP\/1\.1 200 /);
      const stat = await gateway.execute('show stat raw 4 -1');
      expect(stat).toContain('raw-1');
    },
  );
});

test('a client that half-closes gets its response through the edge; the gateway treats it as a client that has gone', async () => {
  origin.onRequest((socket) => {
    setTimeout(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 300);
  });
  const halfClosed = (url: string) =>
    new Promise<string>((resolve) => {
      const { hostname, port } = new URL(url);
      let text = '';
      const client = connect({ port: Number(port), host: hostname, allowHalfOpen: true }, () =>
        client.end(`GET /raw/half HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`),
      );
      client
        .on('data', (chunk) => {
          text += String(chunk);
        })
        .on('error', () => {})
        .on('close', () => resolve(text));
    });
  expect((await halfClosed(edge.url)).slice(0, 15)).toBe('HTTP/1.1 200 OK');
  expect((await halfClosed(gateway.gateway)).slice(0, 12)).not.toBe('HTTP/1.1 200');
});
