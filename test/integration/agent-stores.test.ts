import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, createServer, type Socket, type Server as TcpServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { createPrivateFolder } from '../../dev/servers/folder.ts';
import { eventually } from '../harness/eventually.ts';
import { until } from '../harness/until.ts';
import { useServers } from '../harness/use-servers.ts';

/** Accepts connections and does not answer. */
const sockets = new Set<Socket>();
let hole: TcpServer;
let origin: Server;
let folder: string;
let url: string;
let child: ChildProcess;
const log = () => readFileSync(join(folder, 'log'), 'utf8');

useServers(start, stop);

async function start(): Promise<void> {
  folder = createPrivateFolder('acgs-stores');
  hole = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).resume();
  }).listen(0, '127.0.0.1');
  origin = createHttpServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1');
  await Promise.all([once(hole, 'listening'), once(origin, 'listening')]);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const configFile = join(folder, 'acgs-lb.yaml');
  writeFileSync(
    configFile,
    `version: 1
site: { id: main }
agent: { bind: "127.0.0.1:${port}" }
haproxy:
  file: ${folder}/haproxy.cfg
  socket: ${folder}/a.sock
  masterSocket: ${folder}/m.sock
  agentCheck: 127.0.0.1:${await freePort()}
services:
  gs:
    routes: [/]
    # The instance lives in the test's own process: held up for a moment, it has not fallen.
    health: { interval: 1s, fastInterval: 100ms, timeout: 60s }
    instances: [{ id: gs-1, url: "http://127.0.0.1:${(origin.address() as AddressInfo).port}" }]
`,
  );
  const nowhere = (hole.address() as AddressInfo).port;
  const script = 'exec "$0" agent/main.ts --config "$1" --state-dir "$2" >>"$3" 2>&1';
  const args = ['-c', script, process.execPath, configFile, join(folder, 'state'), join(folder, 'log')];
  child = spawn('sh', args, {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      ACGS_TOKEN: 'stores-token',
      REDIS_URL: `redis://:hidden-word@127.0.0.1:${nowhere}/0`,
      DATABASE_URL: `postgres://agent:hidden-word@127.0.0.1:${nowhere}/none`,
    },
  });
}

async function stop(): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  for (const socket of sockets) socket.destroy();
  hole.close();
  origin.close().closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}

const read = async (path: string) => (await fetch(`${url}${path}`)).text();

test('stores that hang block neither the loop nor the shutdown, and are logged', async () => {
  expect(await until(async () => (await fetch(`${url}/ready`)).ok, { withinMs: 60_000 })).toBe(true);
  await eventually(async () => {
    const { ready, troubled } = JSON.parse(await read('/ready'));
    expect(ready).toBe(true);
    expect(troubled).toMatchObject({
      redis: expect.stringMatching(/time/i),
      postgres: expect.stringMatching(/time/),
    });
  });
  const state = async () => JSON.parse(await read('/v1/services/gs/instances/gs-1')).state;
  await eventually(async () => expect(await state()).toBe('up'));
  // Probing works while both hang.
  origin.close();
  origin.closeAllConnections();
  await eventually(async () => expect(await state()).toBe('down'));
  const metrics = await read('/metrics');
  for (const sink of ['redis', 'postgres'])
    expect(metrics).toMatch(new RegExp(`acgs_sink_up\\{.*${sink}.*\\} 0`));
  expect(metrics).toMatch(/acgs_sink_pending\{.*postgres.*\} [1-9]/);
  await eventually(() => expect(log()).toMatch(/Redis is unavailable \(.*no response/));
  await eventually(() =>
    expect(log()).toMatch(/Postgres does not accept history rows; they go to the spool \(.*does not answer/),
  );
  expect(log()).not.toContain('hidden-word');
  expect(log()).not.toMatch(/"level":[56]0.*(redis|postgres)/i);

  const history = await fetch(`${url}/v1/history?service=gs`);
  expect(history.status).toBe(503);
  expect(history.headers.get('retry-after')).toBeTruthy();
  const session = fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { authorization: 'Bearer stores-token', 'content-type': 'application/json' },
    body: JSON.stringify({ workflowType: 'policy_creation', userId: 'u' }),
  });
  const answer = await session;
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).toBeTruthy();

  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});
