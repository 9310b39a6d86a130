import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { startOrigin } from '../harness/origin.ts';
import { headerValues, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';
import { until } from '../harness/until.ts';

/** Rare HTTP messages, from clients and from third-party servers. */

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
          staleIfError: 600_000,
        },
      }),
      slow: service({
        path: 'direct',
        routes: ['/slow'],
        timeout: 3_000,
        deadline: 3_000,
        instances: [instance('slow-1', origin.url)],
      }),
      patient: service({
        path: 'direct',
        routes: ['/patient'],
        timeout: 90_000,
        deadline: 120_000,
        instances: [instance('patient-1', origin.url)],
      }),
    },
  });
  expect(published.status).toBe(200);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface EdgeStatus {
  gateways: { gateway: string; outForMs: number }[];
  services: { id: string; instances: { id: string; pending: number; ejectedForMs: number }[] }[];
}

async function edgeStatus(): Promise<EdgeStatus> {
  const answer = await fetch(`${edge.url}/__acgs/status`, {
    headers: { authorization: `Bearer ${EDGE_TOKEN}` },
  });
  return (await answer.json()) as EdgeStatus;
}

const instances = async () => (await edgeStatus()).services.flatMap((one) => one.instances);

/** A connection to the edge. Ignores resets. */
function connectToEdge(): Socket {
  const { hostname, port } = new URL(edge.url);
  return connect(Number(port), hostname).on('error', () => {});
}

test('refuses a GET with a body, and counts it against no instance', async () => {
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

/** Sends bytes and a FIN, then waits for the response. */
function sendAndHalfClose(bytes: string): Promise<string> {
  const { hostname, port } = new URL(edge.url);
  const socket = connect(Number(port), hostname, () => socket.end(bytes));
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

test('routes by the path as fetch sends it, so that no spelling reaches the agent’s endpoints', async () => {
  origin.onRequest((socket) => socket.write(OK));
  const before = origin.heads.length;
  for (const [target, host] of [
    ['/y/../__acgs/edge-reports', 'x'],
    ['/y/%2E%2e/__acgs/edge-reports', 'x'],
    ['/./__acgs/edge-reports', 'x'],
  ]) {
    const head = `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`;
    expect(await rawExchange(edge.url, head, /\}\n$/), target).toMatch(/^HTTP\/1\.1 404/);
  }
  for (const host of ['x/y/..', 'x/y/../__acgs/edge-reports#', 'x";for="192.0.2.1']) {
    const head = `POST /__acgs/edge-reports HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`;
    expect(await rawExchange(edge.url, head, /\}\n$/), host).toMatch(/^HTTP\/1\.1 400/);
  }
  expect(origin.heads.length).toBe(before);
  await rawExchange(edge.url, 'GET /slow/../a/./b?c=/../d HTTP/1.1\r\nHost: x\r\n\r\n', /ok$/);
  expect(origin.heads.at(-1)).toMatch(/^GET \/a\/b\?c=\/\.\.\/d HTTP/);
});

test('refuses a request target that is not a path', async () => {
  const before = origin.heads.length;
  for (const method of ['OPTIONS', 'GET']) {
    const answer = await rawExchange(edge.url, `${method} * HTTP/1.1\r\nHost: x\r\n\r\n`, /\}\n$/);
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
  }
  expect(origin.heads.length).toBe(before);
});

/** Sends a request to `path` and resets the connection `afterMs` after it reached the origin. */
async function disconnectFrom(path: string, afterMs: number): Promise<void> {
  origin.onRequest(() => {});
  const before = origin.heads.length;
  const socket = connectToEdge();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await eventually(() => expect(origin.heads.length).toBeGreaterThan(before));
  await sleep(afterMs);
  socket.resetAndDestroy();
  await once(socket, 'close');
  origin.onRequest((other) => other.write(OK));
}

const pendingOf = async (id: string) => (await instances()).find((one) => one.id === id)?.pending;

test('a request abandoned early leaves the in-flight count after its timeout at the latest', async () => {
  for (let i = 0; i < 3; i++) await disconnectFrom('/slow', 0);
  await eventually(async () => {
    await fetch(`${edge.url}/`);
    expect(await pendingOf('slow-1')).toBe(0);
  });
});

test('a request abandoned after a while leaves the in-flight count at once', async () => {
  // Repeated: after a pause, a busy machine may see the disconnect before the request.
  for (let waitMs = 500; waitMs < 20_000; waitMs *= 2) {
    const before = await pendingOf('patient-1');
    await disconnectFrom('/patient', waitMs);
    if (await until(async () => (await pendingOf('patient-1')) === before, { withinMs: 5_000 })) return;
  }
  throw new Error('still in flight');
});

test('turns a status above 599 into 502; passes 205 on', async () => {
  const statusOf = async (line: string): Promise<number> => {
    origin.onRequest((socket) => socket.write(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`));
    const answer = await fetch(`${edge.url}/`);
    expect(answer.headers.get('x-request-id')).not.toBeNull();
    return answer.status;
  };
  expect(await statusOf('205 Reset Content')).toBe(205);
  expect(await statusOf('999 Denied')).toBe(502);
});

test('the response to a WebSocket handshake has the usual headers and cookie, and no x-acgs-* of the instance', async () => {
  origin.onRequest((socket, head) => {
    const key = headerValues(head, 'sec-websocket-key')[0] ?? '';
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
  expect(headerValues(answer, 'upgrade')).toEqual(['websocket']);
  expect(headerValues(answer, 'x-mine')).toEqual(['1']);
  expect(headerValues(answer, 'x-acgs-trace')).toEqual([]);
  expect(headerValues(answer, 'x-request-id')).toHaveLength(1);
  expect(headerValues(answer, 'set-cookie').map((value) => value.split('=')[0])).toEqual(['acgs_affinity']);
  expect(headerValues(answer, 'cache-control')).toEqual(['private']);
});

test('a stale response has no hop-by-hop or forged x-acgs-* headers, and is served only for accepted codings', async () => {
  const ask = (path: string, more: string): Promise<string> =>
    rawExchange(edge.url, `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`, /\r\n\r\n.*[!\n]$/s);
  const kept =
    'HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nVary: Accept-Encoding\r\nContent-Encoding: br\r\nX-Acgs-Trace: forged\r\nRateLimit: "of-another-client";r=1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nbrbr!';
  let attempt = 0;
  // It is stored in the background: try a new path each time until it is found.
  const same = await eventually(async () => {
    const path = `/kept-${attempt++}`;
    origin.onRequest((socket) => socket.write(kept));
    await ask(path, 'Accept-Encoding: br\r\n');
    await sleep(100 * attempt);
    origin.onRequest((socket) => socket.destroy());
    const answer = await ask(path, 'Accept-Encoding: br\r\n');
    expect(headerValues(answer, 'x-acgs-stale')).toEqual(['1']);
    return answer;
  });
  for (const name of ['x-acgs-trace', 'x-hop', 'ratelimit'])
    expect(headerValues(same, name), name).toEqual([]);
  expect(headerValues(same, 'content-encoding')).toEqual(['br']);
  expect(headerValues(same, 'x-content-type-options')).toEqual(['nosniff']);
  expect(await ask(`/kept-${attempt - 1}`, '')).toMatch(/^HTTP\/1\.1 503/);
});

test('a response whose instance died before the end of the body is not served as a stale one', async () => {
  const get = (path: string): Promise<string> =>
    rawExchange(edge.url, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, /\}\n$|whole$/);
  const head = 'HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Length: ';
  origin.onRequest((socket) => {
    socket.write(`${head}1000\r\n\r\nhalf`);
    setTimeout(() => socket.destroy(), 50);
  });
  await get('/cut').catch(() => {});
  // Another one is stored after it, so it would be found by now.
  let attempt = 0;
  await eventually(async () => {
    const path = `/uncut-${attempt++}`;
    origin.onRequest((socket) => socket.write(`${head}5\r\n\r\nwhole`));
    await get(path);
    await sleep(100 * attempt);
    origin.onRequest((socket) => socket.destroy());
    expect(headerValues(await get(path), 'x-acgs-stale')).toEqual(['1']);
  });
  expect(await get('/cut')).toMatch(/^HTTP\/1\.1 50\d/);
});

test('a coding with characters outside of the basic plane does not fail the request', async () => {
  origin.onRequest((socket) =>
    socket.write('HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length: 2\r\n\r\nok'),
  );
  const coding = Buffer.from(`${'a'.repeat(99)}\u{1F600}`).toString('latin1');
  const request = `GET /coding HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${coding}\r\n\r\n`;
  expect(await rawExchange(edge.url, request, /ok$|\}\n$|rror$/)).toMatch(/^HTTP\/1\.1 200/);
});

test('ignores an empty Idempotency-Key', async () => {
  origin.onRequest((socket) => socket.destroy());
  const attemptsWith = async (key: string): Promise<number> => {
    const before = origin.heads.length;
    const head = `POST /patient HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`;
    expect(await rawExchange(edge.url, head, /\}\n$/)).toMatch(/^HTTP\/1\.1 50[23]/);
    return origin.heads.length - before;
  };
  expect(await attemptsWith('k-1')).toBe(3);
  expect(await attemptsWith('')).toBe(1);
});

test('a client that sends more slowly than the deadline does not fail its request', async () => {
  origin.onRequest((socket) => void setTimeout(() => socket.write(OK), 200));
  // Repeated: on a busy machine the instance may exceed the deadline.
  await eventually(async () => {
    const socket = connectToEdge();
    socket.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe');
    await sleep(3_500);
    socket.write('llo');
    const [data] = await once(socket, 'data');
    socket.destroy();
    expect(String(data)).toMatch(/^HTTP\/1\.1 200/);
  });
});

/** More than the edge keeps before the first attempt. */
const PART = 'x'.repeat(70_000);

/** Sends part of a long chunked body. Calls `next` when the origin has received it. */
async function sendPartOfUpload(path: string, next: (socket: Socket) => void) {
  let received = '';
  let ended = false;
  const isReceived = () => received.split('x').length > PART.length;
  origin.onRequest((upstream, _, rest) => {
    received += rest.toString();
    upstream.on('data', (chunk: Buffer) => {
      received += chunk.toString();
      if (isReceived()) next(socket);
    });
    upstream.on('close', () => {
      ended = true;
    });
    if (isReceived()) next(socket);
  });
  const socket = connectToEdge();
  const size = PART.length.toString(16);
  socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${PART}\r\n`);
  const [answer] = await once(socket, 'data');
  // When the attempt timed out before it was sent, there is nothing to end.
  await until(() => ended, { withinMs: 10_000 });
  socket.destroy();
  return { answer: String(answer), received };
}

test('never passes on half an upload as complete: 400 when a chunked body breaks off, 408 when it stalls', async () => {
  const broken = await sendPartOfUpload('/patient', (socket) => socket.end());
  expect(broken.answer).toMatch(/^HTTP\/1\.1 400/);
  expect(broken.received).not.toMatch(/\r\n0\r\n/);
  await eventually(async () => {
    const late = await sendPartOfUpload('/slow', () => {});
    expect(late.received).not.toMatch(/\r\n0\r\n/);
    expect(late.answer).toMatch(/^HTTP\/1\.1 408/);
  });
});

test('a long body extends the timeout', async () => {
  const answering = await startOrigin('long');
  const long = service({
    path: 'direct',
    timeout: 2_000,
    deadline: 2_000,
    instances: [instance('long-1', answering.url)],
  });
  expect((await edge.publish({ services: { long } })).status).toBe(200);
  const socket = connectToEdge();
  // 4 MB add about a minute to the timeout.
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n');
  const answered = once(socket, 'data');
  for (let part = 0; part < 4; part++) {
    socket.write('x'.repeat(1_000_000));
    await sleep(1_000);
  }
  expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 200/);
  socket.destroy();
  await answering.stop();
});

test('a client that breaks off a long body does not count against the gateway; a dead gateway does', async () => {
  const published = async (upstream: RawOrigin): Promise<void> => {
    const up = service({ routes: ['/up'], instances: [instance('up-1', upstream.url)] });
    expect((await edge.publish({ gateways: [upstream.url], services: { up } })).status).toBe(200);
  };
  const failed = async (): Promise<string[]> => (await edgeStatus()).gateways.map(({ gateway }) => gateway);
  const upstream = await startRawOrigin();
  try {
    await published(upstream);
    const part = `POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n${PART}`;
    for (let i = 0; i < 3; i++) expect(await sendAndHalfClose(part)).toMatch(/^HTTP\/1\.1 400/);
    expect(await failed()).not.toContain(upstream.url);
  } finally {
    await upstream.stop();
  }
  const dead = await startRawOrigin();
  await published(dead);
  await dead.stop();
  const whole = await fetch(`${edge.url}/up`, { method: 'POST', body: 'x'.repeat(100_000) });
  expect(whole.status).toBe(502);
  expect(await failed()).toContain(dead.url);
});
