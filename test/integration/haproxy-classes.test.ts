import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

const GATEWAY_CONNECTIONS = 40;
/** What class 9 leaves to class 0: 22.5 % of the connections. */
const FOR_CLASS_9 = 31;

let harness: HaproxyHarness;
let shared: Origin;
let slow: Origin;
let release = (): void => {};
/** With the client's side of HAProxy's connection kept open. */
const agent = new Agent({ keepAlive: true });

startBeforeTests(async () => {
  shared = await startOrigin('shared');
  slow = await startOrigin('slow');
  for (const origin of [shared, slow]) releaseAfterTests(origin.stop);
  harness = await startHaproxyHarness({
    services: `critical:
  routes: [/critical]
  maxconn: 2
  failover: { class: 0 }
  instances: [{ id: critical-1, url: "${shared.url}" }]
sheddable:
  routes: [/sheddable]
  maxconn: 2
  failover: { class: 9 }
  instances: [{ id: sheddable-1, url: "${shared.url}" }]
slow-one:
  routes: [/slow]
  maxconn: 1
  failover: { class: 0 }
  instances: [{ id: slow-1, url: "${slow.url}" }]`,
    haproxy: `rateLimit: off, maxconn: ${GATEWAY_CONNECTIONS}`,
  });
});

const sent: Promise<number>[] = [];
function send(path: string): Promise<number> {
  const answer = fetch(harness.gateway + path).then(async (response) => {
    await response.arrayBuffer();
    return response.status;
  });
  sent.push(answer);
  return answer;
}
/** A failed test leaves no request in progress. */
afterEach(async () => {
  release();
  await Promise.allSettled(sent.splice(0));
});

/** Requests in progress and in the queue of a service. */
async function inProgress(service: string): Promise<number> {
  const text = await harness.execute(`show stat ${service} 2 -1`);
  const [header = '', row = ''] = text.replace(/^# /, '').split('\n');
  return Number(row.split(',')[header.split(',').indexOf('scur')]);
}

function holdAnswers(origin: Origin): void {
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  origin.answer((_, response) => void released.then(() => response.end('late')));
}

test('a sheddable service leaves the instances that it shares to a critical one', async () => {
  holdAnswers(shared);
  // Alone it may use everything, and its queue.
  const alone = [send('/sheddable'), send('/sheddable'), send('/sheddable')];
  expect(await until(async () => (await inProgress('sheddable')) === 3)).toBe(true);
  const critical = [send('/critical')];
  expect(await until(async () => (await inProgress('critical')) === 1)).toBe(true);
  expect(await send('/sheddable')).toBe(503);
  critical.push(send('/critical'), send('/critical'));
  expect(await until(async () => (await inProgress('critical')) === 3)).toBe(true);
  release();
  expect(await Promise.all(alone)).toEqual([200, 200, 200]);
  expect(await Promise.all(critical)).toEqual([200, 200, 200]);
  expect(await send('/sheddable')).toBe(200);
});

test('a sheddable service uses what a critical one leaves', async () => {
  holdAnswers(shared);
  const critical = send('/critical');
  expect(await until(async () => (await inProgress('critical')) === 1)).toBe(true);
  const sheddable = send('/sheddable');
  expect(await until(async () => (await inProgress('sheddable')) === 1)).toBe(true);
  expect(await send('/sheddable')).toBe(503);
  release();
  expect(await Promise.all([critical, sheddable])).toEqual([200, 200]);
});

test('when connections to the gateway are scarce, a sheddable service is rejected and its connection closed', async () => {
  shared.answer((_, response) => response.end('ok'));
  const { hostname, port } = new URL(harness.gateway);
  const idle: Socket[] = [];
  for (let index = 0; index < FOR_CLASS_9; index++) {
    const socket = connect(Number(port), hostname);
    await new Promise((resolve) => socket.once('connect', resolve));
    idle.push(socket);
  }
  try {
    const answerTo = (path: string) =>
      new Promise<IncomingMessage>((resolve, reject) =>
        get(harness.gateway + path, { agent }, (response) => resolve(response.resume())).once(
          'error',
          reject,
        ),
      );
    const rejected = await answerTo('/sheddable');
    expect(rejected.statusCode).toBe(503);
    expect(rejected.headers).toMatchObject({ connection: 'close', 'x-acgs-full': '1', 'x-acgs-unsent': '1' });
    expect((await answerTo('/critical')).statusCode).toBe(200);
  } finally {
    for (const socket of idle) socket.destroy();
    agent.destroy();
  }
  expect(await until(async () => (await send('/sheddable')) === 200)).toBe(true);
});

test('a request that would wait for more than a second is rejected, although the queue has room', async () => {
  holdAnswers(slow);
  const first = send('/slow');
  expect(await until(async () => (await inProgress('slow-one')) === 1)).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 600));
  release();
  expect(await first).toBe(200);
  // The service answers in about 0.6 s, so the third one that waits would wait for 1.8 s.
  holdAnswers(slow);
  const waiting: Promise<number>[] = [];
  for (let index = 1; index <= 3; index++) {
    waiting.push(send('/slow'));
    expect(await until(async () => (await inProgress('slow-one')) === index)).toBe(true);
  }
  expect(await send('/slow')).toBe(503);
  release();
  expect(await Promise.all(waiting)).toEqual([200, 200, 200]);
});
