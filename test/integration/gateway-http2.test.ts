import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { makeCertificates } from '../harness/certificates.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { releaseAfterTests, startBeforeTests, startHaproxyHarness } from './haproxy-harness.ts';

/** HTTP/2 requests that HAProxy turns into HTTP/1.1 for the instance. */

let url: string;
let one: RecordingInstance;

startBeforeTests(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  const { server, remove } = makeCertificates('client');
  const port = await freePort();
  const pem = join(server.cert, '..', 'both.pem');
  writeFileSync(pem, readFileSync(server.cert, 'utf8') + readFileSync(server.key, 'utf8'));
  releaseAfterTests(async () => remove());
  await startHaproxyHarness({
    services: `a:\n  routes: [/]\n  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: `rateLimit: off, tls: { crt: ${pem}, bind: ["127.0.0.1:${port}"] }`,
  });
  url = `https://127.0.0.1:${port}`;
});

/** The status of a request, or the error that ended its stream. */
async function ask(headers: Record<string, string>): Promise<string> {
  one.forget();
  const session = connect(url, { rejectUnauthorized: false });
  try {
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    return await new Promise((resolve) => {
      const stream = session.request({ ':authority': 'x.example', ...headers }, { endStream: false });
      stream.once('response', (answer) => resolve(String(answer[':status'])));
      stream.once('error', (error) => resolve(error.message));
      if (headers[':method'] === 'GET') stream.end();
    });
  } finally {
    session.destroy();
  }
}

const extendedConnect = (protocol: string) =>
  ask({ ':method': 'CONNECT', ':protocol': protocol, ':scheme': 'https', ':path': '/p' });

test('an extended CONNECT for a WebSocket becomes a handshake', async () => {
  one.answer((_, response) => response.end('no upgrade'));
  await extendedConnect('websocket');
  expect(one.requests[0]).toMatchObject({
    method: 'GET',
    url: '/p',
    headers: { connection: 'Upgrade', upgrade: 'websocket' },
  });
});

test.each(['h2c', 'connect-udp', 'foo'])('an extended CONNECT for %s is refused', async (protocol) => {
  expect(await extendedConnect(protocol)).toBe('501');
  expect(one.requests).toEqual([]);
});

test('a plain CONNECT is refused', async () => {
  expect(await ask({ ':method': 'CONNECT' })).toBe('405');
  expect(one.requests).toEqual([]);
});

test('the instance sees a path, and a Host that the rules checked', async () => {
  one.answer((_, response) => response.end('ok'));
  expect(await ask({ ':method': 'GET', ':path': '/p?q' })).toBe('200');
  expect(one.requests[0]).toMatchObject({ url: '/p?q', headers: { host: 'x.example' } });
  expect(await ask({ ':method': 'GET', ':path': '/p', ':authority': 'x,internal.example' })).toBe('400');
  expect(await ask({ ':method': 'GET', ':path': '/p', 'x-a': 'ok', x_forwarded_proto: 'http' })).toBe('200');
  expect(one.requests[0]?.headers).not.toHaveProperty('x_forwarded_proto');
});
