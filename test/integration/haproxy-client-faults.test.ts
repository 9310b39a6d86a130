import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
  startSink,
} from './haproxy-harness.ts';

/** What a client does wrong after its request has reached an instance is no failure of the instance, and not its slowness. */

const REQUESTS = 12;
const SLOW_CALL_MS = 300;
let harness: HaproxyHarness;
let reconciled: ReconciledHaproxy;
let one: RecordingInstance;

startBeforeTests(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  harness = await startHaproxyHarness({
    services: `a:
  routes: [/]
  timeout: 1s
  breaker: { slowCall: ${SLOW_CALL_MS}ms }
  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: 'rateLimit: off',
  });
  reconciled = await startSink(harness);
  await until(async () => (await harness.execute('show servers state')).includes('a-1'));
});
function forget(): void {
  reconciled.traffic.length = 0;
  one.forget();
}
beforeEach(forget);

const sum = (of: 'success' | 'failure' | 'slow'): number =>
  reconciled.traffic.reduce((total, delta) => total + delta[of], 0);

/** More than HAProxy waits for before it sends the request on. */
const START = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
const CHUNKED = 'POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

/** Sends the parts 150 ms apart and returns the response. */
function sendParts(parts: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(harness.gateway);
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(port), hostname, async () => {
      for (const part of parts) {
        socket.write(part);
        await sleep(150);
      }
    });
    socket.on('data', (data) => {
      received += data;
      socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(received));
  });
}

// Repeated: a busy machine may pause client and instance, which share this process, for longer than the timeout.
test.each([
  ['a chunk without a size', [CHUNKED + START, 'zz\r\n']],
  ['a malformed trailer', [CHUNKED + START, '0\r\nbad trailer\0\r\n\r\n']],
])('%s after the request has reached the instance gets 400 and is no failure', async (_, parts) => {
  await eventually(async () => {
    forget();
    const answers = await Promise.all(Array.from({ length: REQUESTS }, () => sendParts(parts)));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 400/);
    expect(one.bytes().match(/POST \/chunks/g)).toHaveLength(REQUESTS);
    expect((await fetch(harness.gateway)).status).toBe(200);
    expect(await until(async () => sum('success') === 1)).toBe(true);
    // Late counters would arrive with the next polls.
    await sleep(600);
    expect([sum('failure'), sum('slow')]).toEqual([0, 0]);
  });
});

test.each([
  ['with a length', 'POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 32776\r\n\r\n'],
  ['in chunks', CHUNKED],
])('a long body %s that arrives slowly neither times out nor makes the instance slow', async (_, head) => {
  const chunked = head === CHUNKED;
  const bytes = Array.from({ length: 8 }, () => (chunked ? '1\r\ny\r\n' : 'y'));
  const start = chunked ? START : 'x'.repeat(0x8000);
  await eventually(async () => {
    forget();
    const answers = await Promise.all(
      Array.from({ length: REQUESTS }, () => sendParts([head + start, ...bytes, chunked ? '0\r\n\r\n' : ''])),
    );
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 200/);
    expect(await until(async () => sum('success') === REQUESTS)).toBe(true);
    await sleep(600);
    expect([sum('failure'), sum('slow')]).toEqual([0, 0]);
  });
});

test('responses with 5xx to one URL do not make HAProxy take the server out', async () => {
  one.answer((request, response) => {
    response.writeHead(request.url === '/broken' ? 500 : 200);
    response.end();
  });
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => fetch(`${harness.gateway}/broken`).then(({ status }) => status)),
    );
    expect(new Set(answers)).toEqual(new Set([500]));
    expect((await fetch(harness.gateway)).status).toBe(200);
    await sleep(100);
  }
});
