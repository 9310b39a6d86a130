import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';

/** Clients that send slowly, too much, or without the right to. */

let edge: TestEdge;
let origin: Origin;

beforeAll(async () => {
  [edge, origin] = await Promise.all([startEdge({ vars: { MAX_SLOW_UPLOADS: '4' } }), startOrigin('a')]);
  expect((await edge.publish({ services: services() })).status).toBe(200);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
});

const services = () => ({
  gs: service({ path: 'direct', instances: [instance('a', origin.url)] }),
  impatient: service({
    routes: ['/impatient'],
    path: 'direct',
    timeout: 1_500,
    instances: [instance('i', origin.url)],
  }),
});

/** The bytes stay unanswered until the promise resolves with the first bytes of the response. */
function startUpload(bytes: string): { socket: Socket; answer: Promise<string> } {
  const { hostname, port } = new URL(edge.url);
  const socket = connect(Number(port), hostname, () => socket.write(bytes));
  socket.on('error', () => {});
  const answer = once(socket, 'data').then(([data]) => String(data));
  return { socket, answer };
}

const putHead = (length: string) => `PUT /__acgs/snapshot/main HTTP/1.1\r\nHost: x\r\n${length}\r\n\r\n`;
const SLOW_PUT = `${putHead('Content-Length: 2000000')}k-main.AAAA\n{"v":1`;

test('a snapshot of an unknown key is refused before its body arrives', async () => {
  const unknown = `${putHead('Content-Length: 2000000')}stranger.AAAA\n{`;
  expect(await rawExchange(edge.url, unknown, /\}\n/)).toMatch(
    /^HTTP\/1\.1 401[\s\S]*\nwww-authenticate: Acgs/i,
  );
  const noLine = putHead('Content-Length: 2000000') + 'x'.repeat(300);
  expect(await rawExchange(edge.url, noLine, /\}\n/)).toMatch(/^HTTP\/1\.1 401/);
});

test('a snapshot must declare its length', async () => {
  const chunked = `${putHead('Transfer-Encoding: chunked')}5\r\nhello\r\n`;
  expect(await rawExchange(edge.url, chunked, /\}\n/)).toMatch(/^HTTP\/1\.1 411/);
});

const requestsTo = (path: string) => origin.requests.filter(({ url }) => url === path);

// These three wait for the same time limit, so they run at the same time.
test.concurrent('slow uploads of snapshots end: the oldest when there are many, each after ten seconds', async () => {
  const uploads = [];
  for (let i = 0; i < 12; i++) {
    uploads.push(startUpload(SLOW_PUT));
    await sleep(20);
  }
  const displaced = await Promise.all(uploads.slice(0, 4).map(({ answer }) => answer));
  for (const answer of displaced) expect(answer).toMatch(/^HTTP\/1\.1 503/);
  expect((await edge.publish({ services: services() })).status).toBe(200);
  const last = await Promise.all(uploads.slice(5).map(({ answer }) => answer));
  for (const answer of last) expect(answer).toMatch(/^HTTP\/1\.1 408/);
  for (const { socket } of uploads) socket.destroy();
});

test.concurrent('a short body that stalls is refused with 408 and reaches no instance', async () => {
  const declared = startUpload('POST /stalled HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\nx');
  const chunked = startUpload(
    'POST /stalled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n',
  );
  for (const { answer, socket } of [declared, chunked]) {
    expect(await answer).toMatch(/^HTTP\/1\.1 408/);
    socket.destroy();
  }
  expect(requestsTo('/stalled')).toEqual([]);
});

test.concurrent('a body that arrives slowly but steadily passes', async () => {
  const { socket, answer } = startUpload(
    'POST /steady HTTP/1.1\r\nHost: x\r\nX-Acgs-Sim-Client: 203.0.113.78\r\nContent-Length: 30000\r\n\r\n',
  );
  for (let i = 0; i < 15; i++) {
    await sleep(1_000);
    socket.write('x'.repeat(2_000));
  }
  expect(await answer).toMatch(/^HTTP\/1\.1 200/);
  expect(requestsTo('/steady').at(-1)?.body.length).toBe(30_000);
  socket.destroy();
});

/** Sends `bytes` every 250 ms, as one chunk. */
async function sendChunks(socket: Socket, { count, bytes }: { count: number; bytes: number }): Promise<void> {
  for (let i = 0; i < count; i++) {
    await sleep(250);
    socket.write(`${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`);
  }
}

const CHUNKED_PUT = 'PUT /impatient HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

test('a long chunked body may take longer than the timeout while its bytes flow', async () => {
  // Repeated: a busy machine may pause this process for longer than the timeout.
  await eventually(async () => {
    const { socket, answer } = startUpload(CHUNKED_PUT);
    await sendChunks(socket, { count: 16, bytes: 50_000 });
    socket.write('0\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 200/);
    expect(origin.requests.at(-1)?.body.length).toBe(800_000);
    socket.destroy();
  });
});

test('a client that sends a long chunked body too slowly gets 408', async () => {
  const { socket, answer } = startUpload(CHUNKED_PUT);
  await sendChunks(socket, { count: 2, bytes: 40_000 });
  const trickle = setInterval(() => socket.write('1\r\nx\r\n'), 200);
  expect(await answer).toMatch(/^HTTP\/1\.1 408/);
  clearInterval(trickle);
  socket.destroy();
});

test('slow uploads of one client are limited in number; fast ones and other clients are not', async () => {
  const slow = (client: string) =>
    startUpload(
      `POST /x HTTP/1.1\r\nHost: x\r\nX-Acgs-Sim-Client: ${client}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
    );
  const uploads = Array.from({ length: 10 }, () => slow('203.0.113.77'));
  const answers: string[] = [];
  for (const { answer } of uploads) void answer.then((text) => answers.push(text.slice(0, 12)));
  await eventually(() => expect(answers).toEqual(Array(6).fill('HTTP/1.1 429')));
  const fast = await Promise.all(
    Array.from({ length: 20 }, () =>
      fetch(`${edge.url}/x`, {
        method: 'POST',
        body: 'x',
        headers: { 'x-acgs-sim-client': '203.0.113.77' },
      }),
    ),
  );
  expect(fast.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(answers).toHaveLength(6);
  for (const { socket } of uploads) socket.destroy();
});

test('the length of a long body that is declared reaches the instance, and so does every byte', async () => {
  const body = Buffer.alloc(3_000_000, 'abcdefg');
  expect((await fetch(`${edge.url}/long`, { method: 'PUT', body })).status).toBe(200);
  const seen = origin.requests.at(-1);
  expect(seen?.headers['content-length']).toBe('3000000');
  expect(seen?.body === body.toString()).toBe(true);
});
