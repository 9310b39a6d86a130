import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { httpFetch } from './http-fetch.ts';
import { createIngestPublisher } from './ingest.ts';
import { createKvApiPublisher } from './kv-api.ts';

// The agent gets answers of servers that are not the edge, and wrong answers of an edge.

const ORDER = { epoch: 7, seq: 3 };
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const publish = async (listener: RequestListener) =>
  createIngestPublisher(await answering(listener), 'main', httpFetch).publish(new Uint8Array(9), ORDER, true);

const saying =
  (status: number, body: unknown, headers = {}): RequestListener =>
  (request, response) => {
    request.resume();
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
  };

test('a snapshot is published only if the response confirms its order', async () => {
  expect(await publish(saying(200, { site: 'main', ...ORDER, kv: 'scheduled' }))).toEqual({
    kind: 'accepted',
  });
});

test.each<[string, RequestListener]>([
  ['an HTML page', saying(200, '<html>Welcome</html>')],
  ['no body', saying(200, '')],
  ['null', saying(200, 'null')],
  ['another order', saying(200, { ...ORDER, seq: 2 })],
  ['an order in strings', saying(200, { epoch: '7', seq: '3' })],
  ['204', saying(204, '')],
  ['a redirect', saying(307, '', { location: 'http://127.0.0.1:1/' })],
  ['a redirect with the order', saying(302, ORDER)],
  [
    'half a body',
    (request, response) => {
      request.resume();
      response
        .writeHead(200, { 'content-length': 1_000 })
        .write('{"epoch":7,"seq":3}', () => response.destroy());
    },
  ],
  [
    'a body without end',
    (request, response) => {
      request.resume();
      response.on('error', () => {});
      const chunk = Buffer.alloc(1024 * 1024, ' ');
      const more = (): void => void (response.destroyed || response.write(chunk, more));
      more();
    },
  ],
])('%s is no confirmation', async (_, listener) => {
  expect(await publish(listener)).toMatchObject({ kind: 'failed' });
});

test('KV counts as written only if the API says so', async () => {
  const write = async (body: unknown) => {
    const options = { apiToken: 't', site: 'main', accountId: 'a', namespaceId: 'n' };
    const apiUrl = await answering(saying(200, body));
    return (
      await createKvApiPublisher({ ...options, apiUrl }, httpFetch).publish(new Uint8Array(9), ORDER, true)
    ).kind;
  };
  expect(await write({ success: true, result: null })).toBe('accepted');
  for (const body of [{ success: false }, {}, 'null', '<html>', '']) expect(await write(body)).toBe('failed');
});
