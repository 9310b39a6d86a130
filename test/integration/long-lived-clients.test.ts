import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { afterEach, expect, test } from 'vitest';
import { fullText } from '../../agent/core/fullness.ts';
import { eventually } from '../harness/eventually.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startHaproxyHarness,
  startSink,
} from './haproxy-harness.ts';

/** Real clients with long-lived connections, with the numbers of a site that ran full. */

const MAXCONN = 100;

/** An application with socket.io. A long poll of its own never ends. */
async function startApplication(name: string) {
  const http = createServer((request, response) => {
    if (request.url !== '/poll') response.end(name);
  });
  const server = new Server(http, { pingInterval: 60_000, pingTimeout: 60_000 });
  server.on('connection', (socket) => {
    socket.emit('served-by', name);
    socket.on('echo', (text: string, reply: (text: string) => void) => reply(`${name} ${text}`));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  releaseAfterTests(async () => {
    await server.close();
    http.closeAllConnections();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const applications = Promise.all(['gs-1', 'gs-2'].map(startApplication));

async function start(options: string): Promise<{ harness: HaproxyHarness; reconciled: ReconciledHaproxy }> {
  const [first, second] = await applications;
  const harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  maxconn: ${MAXCONN}
  ${options}
  instances: [{ id: gs-1, url: "${first}" }, { id: gs-2, url: "${second}" }]`,
    haproxy: 'rateLimit: off',
  });
  const reconciled = await startSink(harness);
  await until(async () => (await harness.execute('show servers state')).includes('gs-2'));
  return { harness, reconciled };
}

interface Client {
  socket: Socket;
  /** The instances that served it, in order. */
  servedBy: string[];
  /** Why its connections ended. */
  ended: string[];
  refused: number;
}

const clients: Client[] = [];
afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.disconnect();
});

function connect(url: string, transports: string[], reconnection = true): Client {
  const socket = io(url, { transports, reconnection, forceNew: true, withCredentials: true });
  const client: Client = { socket, servedBy: [], ended: [], refused: 0 };
  socket.on('served-by', (name: string) => client.servedBy.push(name));
  socket.on('disconnect', (reason) => client.ended.push(reason));
  socket.on('connect_error', () => {
    client.refused += 1;
  });
  clients.push(client);
  return client;
}

const failures = ({ traffic }: ReconciledHaproxy) => traffic.reduce((sum, { failure }) => sum + failure, 0);
const statusOf = async (url: string) => (await fetch(url)).status;

test('260 WebSockets on two instances with maxconn 100: all connect, and ordinary requests are served', async () => {
  const { harness, reconciled } = await start('longLived: { maxconn: 1000 }');
  const all = Array.from({ length: 260 }, () => connect(harness.gateway, ['websocket'], false));
  expect(await until(async () => all.every(({ servedBy }) => servedBy.length === 1))).toBe(true);
  expect(all.filter(({ refused, ended }) => refused > 0 || ended.length > 0)).toEqual([]);
  const statuses = await Promise.all(Array.from({ length: 50 }, () => statusOf(harness.gateway)));
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  expect(failures(reconciled)).toBe(0);
});

test('beyond the limit of long-lived connections: refused at once, named as full, and no failure', async () => {
  const { harness, reconciled } = await start(`longLived: { maxconn: ${MAXCONN} }`);
  const all = Array.from({ length: 260 }, () => connect(harness.gateway, ['websocket'], false));
  expect(await until(async () => all.every(({ servedBy, refused }) => servedBy.length + refused === 1))).toBe(
    true,
  );
  expect(all.filter(({ refused }) => refused > 0)).toHaveLength(60);
  const texts = () =>
    ['gs-1', 'gs-2'].map((id) => {
      const gauges = reconciled.traffic.findLast((one) => one.instance === id && one.longLived !== undefined);
      return gauges && fullText({ inflight: 0, ...gauges });
    });
  const full = `full: ${MAXCONN} of ${MAXCONN} long-lived connections`;
  await eventually(() => expect(texts()).toEqual([full, full]));
  expect(await statusOf(harness.gateway)).toBe(200);
  expect(failures(reconciled)).toBe(0);
});

test('40 long polls on one of two instances leave the other requests evenly spread', async () => {
  const { harness } = await start('longLived: { paths: [/poll] }');
  const stop = new AbortController();
  for (let i = 0; i < 40; i++) {
    const headers = harness.edgeHeaders({ target: 'gs-1' });
    fetch(`${harness.gateway}/poll`, { headers, signal: stop.signal }).catch(() => undefined);
  }
  const isHeld = async () => /^gs:long,gs-1,\d+,\d+,40,/m.test(await harness.execute('show stat -1 4 -1'));
  expect(await until(isHeld)).toBe(true);
  let first = 0;
  for (let i = 0; i < 200; i++) if ((await (await fetch(harness.gateway)).text()) === 'gs-1') first += 1;
  stop.abort();
  // Half of them; 60 is more than five standard deviations below.
  expect(first).toBeGreaterThan(60);
  expect(first).toBeLessThan(140);
});

test('sessions of socket.io that poll: a drain keeps them, and maintenance moves each with one new connection', async () => {
  const { harness, reconciled } = await start('longLived: { paths: [/socket.io] }');
  const all = Array.from({ length: 10 }, () => connect(harness.gateway, ['polling']));
  expect(await until(async () => all.every(({ servedBy }) => servedBy.length === 1))).toBe(true);
  const moving = all.filter(({ servedBy: [name] }) => name === 'gs-1');
  expect(moving.length).toBeGreaterThan(0);

  reconciled.change({ 'gs/gs-1': { admin: 'drain', state: 'draining' } });
  expect(
    await until(async () => /^gs:long,gs-1,.*,DRAIN/m.test(await harness.execute('show stat -1 4 -1'))),
  ).toBe(true);
  for (const { socket, servedBy } of moving)
    expect(await socket.timeout(30_000).emitWithAck('echo', 'x')).toBe(`${servedBy[0]} x`);
  expect(all.flatMap(({ ended }) => ended)).toEqual([]);

  reconciled.change({ 'gs/gs-1': { admin: 'maint', state: 'down' } });
  expect(await until(async () => moving.every(({ servedBy }) => servedBy.length === 2))).toBe(true);
  for (const { servedBy, ended, refused } of moving)
    expect([servedBy, ended, refused]).toEqual([['gs-1', 'gs-2'], ['transport error'], 0]);
  expect(all.filter((one) => !moving.includes(one)).flatMap(({ ended }) => ended)).toEqual([]);
});
