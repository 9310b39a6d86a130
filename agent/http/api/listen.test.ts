import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../../dev/ports.ts';
import { exchangeUntilQuiet, rawExchange } from '../../../test/harness/raw-tcp.ts';
import { SMUGGLING_CASES } from '../../../test/harness/smuggling-cases.ts';
import { BODY_CASES } from '../../../test/harness/strictness-cases.ts';
import { type HttpServerHandle, listen } from './listen.ts';

let server: HttpServerHandle;
let url: string;
const requests: string[] = [];

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  server = await listen(async (request) => {
    requests.push(new URL(request.url).pathname);
    await request.text().catch(() => '');
    return new Response('ok', { headers: { connection: 'close' } });
  }, `127.0.0.1:${port}`);
});
afterAll(() => server.close());

test.each(BODY_CASES)('the API reads at most one request from: $name', async ({ send }) => {
  requests.length = 0;
  await rawExchange(url, send, /\r\n\r\n/);
  await sleep(20);
  expect(requests.filter((path) => path !== '/p')).toEqual([]);
  expect(requests.length).toBeLessThanOrEqual(1);
});

test('the API reads no hidden request', async () => {
  const problems: string[] = [];
  for (const { name, send, isPipeline } of SMUGGLING_CASES) {
    if (isPipeline) continue;
    requests.length = 0;
    await exchangeUntilQuiet(url, send);
    if (requests.length > 1 || requests.includes('/admin')) problems.push(`${name}: ${requests.join(', ')}`);
  }
  expect(problems).toEqual([]);
});

test('slow and idle connections are closed, and connections above the limit are not accepted', async () => {
  const port = await freePort();
  const strict = await listen(() => new Response('ok'), `127.0.0.1:${port}`, {
    maxConnections: 2,
    headersTimeout: 50,
    requestTimeout: 100,
    connectionsCheckingInterval: 20,
  });
  const slow = ['', 'GET / HTTP/1.1\r\nHost: x', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1'];
  for (const bytes of slow) await rawExchange(`http://127.0.0.1:${port}`, bytes);
  const [first, second, third] = await Promise.all(
    [1, 2, 3].map(() => rawExchange(`http://127.0.0.1:${port}`, 'GET / HTTP/1.1\r\n').catch(() => '')),
  );
  expect([first, second].every((text) => text?.startsWith('HTTP/1.1 408'))).toBe(true);
  expect(third).toBe('');
  await strict.close();
});
