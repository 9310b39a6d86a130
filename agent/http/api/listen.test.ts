import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../../dev/ports.ts';
import { rawExchange } from '../../../test/harness/raw-tcp.ts';
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
