import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import {
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** Clients that come to the gateway without the edge and send their bodies slowly. */

const MAXCONN = 4;
let harness: HaproxyHarness;
let one: RecordingInstance;

startBeforeTests(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  harness = await startHaproxyHarness({
    services: `a:\n  routes: [/]\n  maxconn: ${MAXCONN}\n  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: 'rateLimit: 1000/10s',
    requestTimeout: '3s',
  });
});

const sockets: Socket[] = [];
releaseAfterTests(async () => {
  for (const socket of sockets) socket.destroy();
});

/** Sends the bytes, and a chunk of one byte every 100 ms. */
function trickle(head: string, more: string): { answer: Promise<string>; socket: Socket } {
  const { hostname, port } = new URL(harness.gateway);
  const socket = connect(Number(port), hostname, () => socket.write(head));
  sockets.push(socket);
  socket.on('error', () => {});
  const timer = setInterval(() => socket.write(more), 100);
  socket.on('close', () => clearInterval(timer));
  return { socket, answer: once(socket, 'data').then(([data]) => String(data)) };
}

const post = (fields: string): string => `POST /p HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n`;

test.each([
  ['with a length', post('Content-Length: 60000'), 'x'],
  ['in chunks', post('Transfer-Encoding: chunked'), '1\r\nx\r\n'],
  ['of a GET', `GET /p HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n`, 'x'],
])('a body %s that arrives byte by byte gets 408 and reaches no instance', async (_, head, more) => {
  one.forget();
  // More than the instance may have at the same time.
  const slow = Array.from({ length: 3 * MAXCONN }, () => trickle(head, more));
  await sleep(300);
  expect((await fetch(harness.gateway)).status).toBe(200);
  for (const { answer, socket } of slow) {
    expect(await answer).toMatch(/^HTTP\/1\.1 408/);
    socket.destroy();
  }
  expect(one.bytes().match(/ HTTP\/1\.1/g)).toHaveLength(1);
});

test('whole bodies of any length pass', async () => {
  for (const size of [0, 1, 16_384, 40_000, 1_000_000]) {
    one.forget();
    const response = await fetch(harness.gateway, { method: 'POST', body: 'y'.repeat(size) });
    expect([size, response.status]).toEqual([size, 200]);
    expect(one.requests[0]?.body.length).toBe(size);
  }
});

test('of long bodies, one address may send sixteen at the same time; another one still gets through', async () => {
  const head = `${post('Content-Length: 60000')}${'y'.repeat(40_000)}`;
  const slow = Array.from({ length: 20 }, () => trickle(head, 'y'));
  const answers: string[] = [];
  for (const { answer } of slow) void answer.then((text) => answers.push(text.slice(0, 12)));
  await eventually(() => expect(answers).toEqual(Array(4).fill('HTTP/1.1 429')));
  const long = 'y'.repeat(40_000);
  expect((await fetch(harness.gateway, { method: 'POST', body: long })).status).toBe(429);
  for (const { socket } of slow) socket.destroy();
  await eventually(async () =>
    expect((await fetch(harness.gateway, { method: 'POST', body: long })).status).toBe(200),
  );
});
