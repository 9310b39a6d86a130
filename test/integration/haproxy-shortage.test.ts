import { execFileSync } from 'node:child_process';
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startHaproxyHarness, startSink } from './haproxy-harness.ts';

const prlimit = (...args: string[]): string => execFileSync('prlimit', args, { encoding: 'utf8' }).trim();

test('a HAProxy without free file descriptors says so, and its connection failures are no failures of instances', async () => {
  const origin = await startOrigin('gs-1');
  releaseAfterTests(origin.stop);
  // No idle connection is left for the next request.
  origin.answer((_, response) => response.writeHead(200, { connection: 'close' }).end('ok'));
  const harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  instances: [{ id: gs-1, url: "${origin.url}" }]`,
    haproxy: 'rateLimit: off',
  });
  const { sink, traffic } = await startSink(harness);
  expect(await until(() => sink.status().state === 'ok')).toBe(true);
  // The client's connection stays open: HAProxy could not accept a new one.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = () =>
    new Promise<IncomingMessage>((resolve, reject) =>
      get(`${harness.gateway}/x`, { agent }, (response) => {
        response.resume().once('end', () => resolve(response));
      }).once('error', reject),
    );
  expect((await send()).statusCode).toBe(200);
  const worker = /^Pid: (\d+)$/m.exec(await harness.execute('show info'))?.[1] ?? '';
  const before = prlimit('--pid', worker, '--nofile', '--noheadings', '--raw', '--output=SOFT');
  prlimit('--pid', worker, '--nofile=3:');
  try {
    for (let times = 0; times < 3; times++) {
      const { statusCode, headers } = await send();
      expect(statusCode).toBe(503);
      expect(headers['x-acgs-exhausted']).toBe('1');
    }
    expect(await until(() => sink.status().lastError?.includes('process FD limit') === true)).toBe(true);
    // Late counters would arrive with the next polls.
    await sleep(1_000);
    expect(traffic.reduce((total, { failure }) => total + failure, 0)).toBe(0);
  } finally {
    prlimit('--pid', worker, `--nofile=${before}:`);
  }
  const after = await send();
  expect(after.statusCode).toBe(200);
  expect(after.headers).not.toHaveProperty('x-acgs-exhausted');
  agent.destroy();
  expect(await until(() => sink.status().state === 'ok')).toBe(true);
});
