import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { fields, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw.ts';
import { instance, service } from '../harness/snapshot.ts';

/** What seldom comes, from clients and from instances that nobody of ours wrote. */

let edge: TestEdge;
let origin: RawOrigin;

beforeAll(async () => {
  [edge, origin] = await Promise.all([startEdge(), startRawOrigin()]);
  const published = await edge.publish({
    services: {
      gs: service({
        path: 'direct',
        affinity: { by: 'cookie', ttl: 3_600_000 },
        instances: [instance('raw-1', origin.url)],
        failover: {
          strategy: 'immediate',
          maxAttempts: 1,
          retryBudget: 0.2,
          backoff: 0,
          hedge: false,
          class: 5,
          staleIfError: 60_000,
        },
      }),
      slow: service({
        path: 'direct',
        routes: ['/slow'],
        timeout: 3_000,
        deadline: 3_000,
        instances: [instance('slow-1', origin.url)],
      }),
    },
  });
  expect(published.status).toBe(200);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Seen {
  id: string;
  pending: number;
}

async function instances(): Promise<Seen[]> {
  const answer = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  const status = (await answer.json()) as { services: { instances: Seen[] }[] };
  return status.services.flatMap((one) => one.instances);
}

test('a GET with a body, which the runtime cannot send, is refused and held against no instance', async () => {
  origin.onRequest((socket) => socket.write(OK));
  const before = origin.heads.length;
  const answer = await rawExchange(
    edge.url,
    'GET /q HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
    /\r\n\r\n/,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400/);
  expect(origin.heads.length).toBe(before);
  const empty = await rawExchange(edge.url, 'GET /q HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n', /ok$/);
  expect(empty).toMatch(/^HTTP\/1\.1 200/);
});

test('what clients hung up on is in flight no longer than its timeout', async () => {
  origin.onRequest(() => {});
  for (let i = 0; i < 3; i++) {
    const before = origin.heads.length;
    const socket = connect(Number(new URL(edge.url).port), '127.0.0.1');
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await vi.waitFor(() => expect(origin.heads.length).toBeGreaterThan(before), 10_000);
    socket.destroy();
    await once(socket, 'close');
  }
  origin.onRequest((socket) => socket.write(OK));
  await vi.waitFor(async () => {
    await fetch(`${edge.url}/`);
    expect((await instances()).map(({ pending }) => pending)).toEqual([0, 0]);
  }, 20_000);
});

test('a status the runtime has no answer for becomes 502; 205 is one like any other', async () => {
  const statusOf = async (line: string): Promise<number> => {
    origin.onRequest((socket) => socket.write(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`));
    const answer = await fetch(`${edge.url}/`);
    expect(answer.headers.get('x-request-id')).not.toBeNull();
    return answer.status;
  };
  expect(await statusOf('205 Reset Content')).toBe(205);
  expect(await statusOf('999 Denied')).toBe(502);
});

test('the answer to a WebSocket handshake: fields and session like any other, nothing in the edge’s name', async () => {
  origin.onRequest((socket, head) => {
    const key = fields(head, 'sec-websocket-key')[0] ?? '';
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nX-Acgs-Trace: forged\r\nX-Mine: 1\r\n\r\n`,
    );
  });
  const answer = await rawExchange(
    edge.url,
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    /\r\n\r\n/,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 101/);
  expect(fields(answer, 'upgrade')).toEqual(['websocket']);
  expect(fields(answer, 'x-mine')).toEqual(['1']);
  expect(fields(answer, 'x-acgs-trace')).toEqual([]);
  expect(fields(answer, 'x-request-id')).toHaveLength(1);
  expect(fields(answer, 'set-cookie').map((value) => value.split('=')[0])).toEqual(['acgs_affinity']);
});

test('a kept answer carries nothing hop-by-hop or in the edge’s name, and goes to nobody who cannot read it', async () => {
  const ask = (path: string, more: string): Promise<string> =>
    rawExchange(edge.url, `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`, /\r\n\r\n.*[!\n]$/s);
  const kept =
    'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\nContent-Encoding: br\r\nX-Acgs-Trace: forged\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nbrbr!';
  let attempt = 0;
  // It is stored behind the answer's back: a path of its own each time until it is found.
  const same = await vi.waitFor(async () => {
    const path = `/kept-${attempt++}`;
    origin.onRequest((socket) => socket.write(kept));
    await ask(path, 'Accept-Encoding: br\r\n');
    await sleep(100 * attempt);
    origin.onRequest((socket) => socket.destroy());
    const answer = await ask(path, 'Accept-Encoding: br\r\n');
    expect(fields(answer, 'x-acgs-stale')).toEqual(['1']);
    return answer;
  }, 30_000);
  for (const name of ['x-acgs-trace', 'x-hop']) expect(fields(same, name), name).toEqual([]);
  expect(fields(same, 'content-encoding')).toEqual(['br']);
  expect(fields(same, 'x-content-type-options')).toEqual(['nosniff']);
  expect(fields(same, 'via')).toEqual(['1.1 acgs-lb']);
  expect(await ask(`/kept-${attempt - 1}`, '')).toMatch(/^HTTP\/1\.1 503/);
});

test('an empty Idempotency-Key is none', async () => {
  origin.onRequest((socket) => socket.destroy());
  const triesWith = async (key: string): Promise<number> => {
    const before = origin.heads.length;
    const head = `POST /slow HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`;
    expect(await rawExchange(edge.url, head, /\}\n$/)).toMatch(/^HTTP\/1\.1 50[23]/);
    return origin.heads.length - before;
  };
  expect(await triesWith('k-1')).toBe(3);
  expect(await triesWith('')).toBe(1);
});

test('a client that takes longer to send than the deadline is not held against the instance', async () => {
  origin.onRequest((socket) => socket.write(OK));
  const socket = connect(Number(new URL(edge.url).port), '127.0.0.1');
  socket.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe');
  await sleep(3_500);
  socket.write('llo');
  const [data] = await once(socket, 'data');
  socket.destroy();
  expect(String(data)).toMatch(/^HTTP\/1\.1 200/);
});

test('nor is the time that a long body takes', async () => {
  const answering = createServer((request, response) => {
    request.resume().on('end', () => response.end('ok'));
  });
  await once(answering.listen(0, '127.0.0.1'), 'listening');
  const { port } = answering.address() as AddressInfo;
  const long = service({
    path: 'direct',
    timeout: 2_000,
    deadline: 2_000,
    instances: [instance('long-1', `http://127.0.0.1:${port}`)],
  });
  expect((await edge.publish({ services: { long } })).status).toBe(200);
  const socket = connect(Number(new URL(edge.url).port), '127.0.0.1');
  // 800 kB may take twelve seconds more than the timeout.
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 800000\r\n\r\n');
  const answered = once(socket, 'data');
  for (let part = 0; part < 4; part++) {
    socket.write('x'.repeat(200_000));
    await sleep(1_000);
  }
  expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 200/);
  socket.destroy();
  answering.close();
});
