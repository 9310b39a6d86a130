import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AlertMessage } from '../../agent/alerting/message.ts';
import { freePort } from '../../dev/ports.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { useServers } from '../harness/use-servers.ts';

/** One agent process as deployed: the notifications when an instance dies and returns, and when the agent restarts. */

let folder: string;
let configFile: string;
const posts: AlertMessage[] = [];
const beats: { method: string; body: string }[] = [];
let receiver: Server;
let origins: Origin[];
let url: string;
let child: ChildProcess;

useServers(async () => {
  posts.length = beats.length = 0;
  folder = mkdtempSync(join(tmpdir(), 'acgs-alerts-agent-'));
  configFile = join(folder, 'acgs-lb.yaml');
  receiver = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      if (request.url === '/beat/hush') beats.push({ method: request.method ?? '', body });
      else posts.push(JSON.parse(body) as AlertMessage);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  origins = [await startOrigin('gs-1'), await startOrigin('gs-2')];
  const [port, check] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  writeFileSync(configFile, config(port, check));
  await start();
}, stop);

async function stop(): Promise<void> {
  await end('SIGKILL');
  for (const origin of origins) await origin.stop();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  rmSync(folder, { recursive: true, force: true });
}

const config = (port: number, check: number): string => `version: 1
site: { id: main }
agent: { bind: "127.0.0.1:${port}" }
haproxy:
  file: ${folder}/haproxy.cfg
  socket: ${folder}/a.sock
  masterSocket: ${folder}/m.sock
  agentCheck: 127.0.0.1:${check}
monitor: { interval: 1s, window: 5s }
# HAProxy, Redis and Postgres are absent.
alerts:
  dashboardUrl: https://lb.example/
  rules: { sinkFailing: { enabled: false }, spoolDisk: { enabled: false } }
  heartbeat: { url: '\${HEARTBEAT_URL}', interval: 200ms }
  receivers: { hook: { type: webhook, url: '\${HOOK_URL}' } }
  repeat: { warning: 1h, critical: 1h, emergency: 1h }
services:
  gs:
    routes: [/]
    slowStart: 0s
    health: { interval: 300ms, fastInterval: 100ms, timeout: 60s }
    instances: [{ id: gs-1, url: "${origins[0]?.url}" }, { id: gs-2, url: "${origins[1]?.url}" }]
`;

async function start(): Promise<void> {
  const { port } = receiver.address() as AddressInfo;
  const script = 'exec "$0" agent/main.ts --config "$1" --state-dir "$2" >>"$3" 2>&1';
  child = spawn(
    'sh',
    ['-c', script, process.execPath, configFile, join(folder, 'state'), join(folder, 'log')],
    {
      stdio: 'ignore',
      env: {
        PATH: process.env.PATH,
        TMPDIR: process.env.TMPDIR,
        HOOK_URL: `http://127.0.0.1:${port}/hook`,
        HEARTBEAT_URL: `http://127.0.0.1:${port}/beat/hush`,
      },
    },
  );
  if (!(await until(async () => (await fetch(`${url}/ready`)).ok))) throw new Error(agentLog());
}

const agentLog = () => readFileSync(join(folder, 'log'), 'utf8');

function end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  return ended;
}

/** The alerts of conditions that the receiver got: a slow machine may raise alerts about its own load. */
const received = () =>
  posts
    .filter(({ service }) => service === 'gs')
    .map(({ event, rule, severity }) => `${event} ${rule} ${severity}`);
const firing = async (): Promise<{ rule: string; service: string; id: string }[]> => {
  const { alerts } = (await (await fetch(`${url}/v1/alerts`)).json()) as {
    alerts: { rule: string; service: string; id: string }[];
  };
  return alerts.filter(({ service }) => service === 'gs');
};
/** The agent has looked for conditions a few times since its start: its heartbeats say when it last did. */
const looked = () =>
  eventually(() => {
    const times = beats.map(({ body }) => (JSON.parse(body) as { checkedAt: string | null }).checkedAt);
    expect(new Set(times.filter(Boolean)).size).toBeGreaterThan(4);
  });

test('a killed instance sends one "raised", its return one "resolved"; a restart sends nothing', async () => {
  await looked();
  expect(received()).toEqual([]);

  await origins[1]?.stop();
  await eventually(() => expect(received()).toEqual(['raised redundancyLost critical']));
  expect(posts.at(-1)).toMatchObject({
    url: 'https://lb.example/#/gs',
    runbook: 'docs/incident.md#alert-instance-down',
    message: expect.stringMatching(/^gs: only gs-1 serves \(1 of 2\); gs-2: /),
  });
  const [{ id = '' } = {}] = await firing();

  // A restart while the alert is open: the alert stays the same, and no notification is sent again.
  await end();
  beats.length = 0;
  await start();
  await looked();
  expect(await firing()).toMatchObject([{ id }]);
  expect(received()).toEqual(['raised redundancyLost critical']);

  origins[1] = await startOrigin('gs-2', origins[1]?.port);
  await eventually(() =>
    expect(received()).toEqual(['raised redundancyLost critical', 'resolved redundancyLost critical']),
  );
  expect(posts.findLast(({ service }) => service === 'gs')).toMatchObject({
    id,
    message: 'gs: all 2 instances serve again',
  });
  expect(await firing()).toEqual([]);
});

test('the heartbeat reports while the agent works, and its secret URL is in no log', async () => {
  await eventually(() => expect(beats.length).toBeGreaterThan(2));
  expect(beats[0]?.method).toBe('POST');
  expect(JSON.parse(beats[0]?.body ?? '')).toMatchObject({ site: 'main', leader: true });
  expect(agentLog()).not.toContain('hush');
  const status = await fetch(`${url}/v1/config`);
  expect(await status.text()).not.toContain('hush');
});

test('a refused configuration file is an alert until a good one is read', async () => {
  const good = readFileSync(configFile, 'utf8');
  const config = () => posts.filter(({ rule }) => rule === 'configRefused').map(({ event }) => event);
  writeFileSync(configFile, good.replace('critical: 1h', 'critical: soon'));
  child.kill('SIGHUP');
  await eventually(() => expect(config()).toEqual(['raised']));
  expect(posts.at(-1)?.message).toContain('alerts.repeat.critical');
  writeFileSync(configFile, good);
  child.kill('SIGHUP');
  await eventually(() => expect(config()).toEqual(['raised', 'resolved']));
});
