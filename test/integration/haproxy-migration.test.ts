import { mkdirSync, readFileSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { importConfig } from '../../agent/haproxy/import/import-file.ts';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { requestReload } from '../../agent/haproxy/socket/master.ts';
import { parseFingerprint, parseInfo } from '../../agent/haproxy/socket/parse.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startHaproxy } from '../../dev/servers/haproxy.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { KeepAliveConnection } from '../chaos/keep-alive-connection.ts';
import { haproxyCommand } from '../harness/haproxy.ts';
import { startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startSink } from './haproxy-harness.ts';

const SECRETS = { statsUser: 'admin', statsPassword: 'x', edgePublicKeys: '' };

/** A HAProxy with an operator's own file: a frontend with routes, and a TCP service that acgs-lb never touches. */
async function startOwnHaproxy() {
  const folder = createPrivateFolder('acgs-mg');
  const origins = await Promise.all(['w1', 'w2', 'a1'].map((name) => startOrigin(name)));
  for (const { stop } of origins) releaseAfterTests(stop);
  const [www = 0, tcp = 0, gateway = 0, stats = 0, agentCheck = 0, agent = 0] = await freePorts(6);
  const [w1, w2, a1] = origins.map(({ port }) => port);
  const socket = join(folder, 'admin.sock');
  const masterSocket = join(folder, 'master.sock');
  const file = join(folder, 'haproxy.cfg');
  const text = `global
    no strict-limits
    stats socket ${socket} mode 600 level admin expose-fd listeners
defaults
    mode http
    log global
    option httplog
    option idle-close-on-response
    timeout connect 5s
    timeout client 50s
    timeout server 50s
frontend www
    bind 127.0.0.1:${www}
    http-response set-header X-Own yes
    use_backend api if { path_beg /api }
    default_backend web
backend web
    balance leastconn
    option httpchk GET /health
    server w1 127.0.0.1:${w1} check
    server w2 127.0.0.1:${w2} check
backend api
    server a1 127.0.0.1:${a1} check
listen db
    mode tcp
    bind 127.0.0.1:${tcp}
    server db1 127.0.0.1:${a1} check
`;
  writeFileSync(file, text);
  const haproxy = await startHaproxy({
    configFile: file,
    masterSocket,
    logFile: join(folder, 'haproxy.log'),
  });
  releaseAfterTests(async () => {
    await haproxy.stop();
    removeFolder(folder);
  });
  /** The proposal with this test's ports and paths. */
  async function propose(mode: 'whole' | 'beside', target: string) {
    const { yaml, ownFile, haproxyError } = await importConfig(text, { mode, fileName: file });
    expect(haproxyError).toBeNull();
    const document = parseDocument(yaml ?? '');
    const set = (path: string[], value: unknown) => document.setIn(path, value);
    set(['agent', 'bind'], `127.0.0.1:${agent}`);
    set(['haproxy', 'file'], target);
    set(['haproxy', 'masterSocket'], masterSocket);
    set(['haproxy', 'stats'], `127.0.0.1:${stats}`);
    set(['haproxy', 'agentCheck'], `127.0.0.1:${agentCheck}`);
    if (mode === 'whole') set(['haproxy', 'log'], '127.0.0.1:9');
    else {
      set(['haproxy', 'mainFile'], file);
      set(['haproxy', 'bind'], [`127.0.0.1:${gateway}`]);
    }
    const own = ownFile?.replace('log 127.0.0.1:9401 ', `log 127.0.0.1:${agentCheck} `) ?? '';
    return { config: parseConfig(document.toString()), own };
  }

  const worker = async () => parseInfo(await haproxyCommand(socket, 'show info'));
  /** Reloads, and waits for the next worker. */
  async function reload(): Promise<void> {
    const { pid } = await worker();
    await requestReload(masterSocket);
    expect(await until(async () => (await worker()).pid !== pid)).toBe(true);
  }
  const traffic = () => startTraffic([`http://127.0.0.1:${www}`, `http://127.0.0.1:${tcp}`]);
  return { folder, file, text, socket, gateway, www, propose, worker, reload, traffic };
}

/** Twelve keep-alive connections per address, each with one request at a time. */
function startTraffic(addresses: readonly string[]) {
  let running = true;
  const failures: string[] = [];
  let requests = 0;
  const clients = addresses.flatMap((address) =>
    Array.from({ length: 12 }, async (_, index) => {
      const connection = new KeepAliveConnection(address);
      for (let count = 0; running; count++) {
        const path = (count + index) % 3 === 0 ? '/api/x' : '/page';
        const { status, error } = await connection.request(`GET ${path} HTTP/1.1`);
        requests += 1;
        if (status !== 200) failures.push(`${address}${path}: ${status} ${error}`);
        await sleep(5);
      }
      connection.close();
    }),
  );
  return {
    requests: () => requests,
    failures,
    async stop() {
      running = false;
      await Promise.all(clients);
    },
  };
}

const nextRequests = async ({ requests }: { requests(): number }): Promise<void> => {
  const end = requests() + 100;
  expect(await until(() => requests() >= end)).toBe(true);
};

test('to the whole file and back under load: no request and no connection is lost', async () => {
  const { file, text, propose, worker, reload, traffic } = await startOwnHaproxy();
  const { config } = await propose('whole', file);
  const load = traffic();
  await nextRequests(load);
  await installHaproxyConfig({ config, instances: configInstances(config), secrets: SECRETS });
  await reload();
  expect((await worker()).description).toMatch(/^acgs-lb:/);
  await nextRequests(load);
  writeFileSync(file, text);
  await reload();
  expect((await worker()).description).toBe('');
  await nextRequests(load);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test('beside the operator’s file and back under load: controlled, measured, and nothing is lost', async () => {
  const { folder, file, text, socket, gateway, www, propose, reload, traffic } = await startOwnHaproxy();
  const conf = join(folder, 'haproxy.d');
  const target = join(conf, '90-acgs-lb.cfg');
  const { config, own } = await propose('beside', target);
  const load = traffic();
  await nextRequests(load);
  // HAProxy was started with the name of the file, which becomes the folder of both files.
  mkdirSync(conf);
  writeFileSync(join(conf, '10-haproxy.cfg'), own);
  renameSync(file, join(folder, 'before.cfg'));
  symlinkSync(conf, file);
  await installHaproxyConfig({ config, instances: configInstances(config), secrets: SECRETS });
  await reload();
  const fingerprint = parseFingerprint(await haproxyCommand(socket, 'show backend'));
  expect(readFileSync(target, 'utf8')).toContain(`backend ${fingerprint}\n`);

  const reconciled = await startSink({ config, secrets: SECRETS });
  // The drain goes over the socket and applies to the operator's frontend.
  reconciled.change({ 'web/w1': { admin: 'drain', state: 'draining' } });
  const instanceOf = async (url: string) => (await fetch(url)).headers.get('x-acgs-instance');
  const answers = async (url: string) =>
    new Set(await Promise.all(Array.from({ length: 8 }, () => instanceOf(url))));
  expect(await until(async () => !(await answers(`http://127.0.0.1:${www}/page`)).has('w1'))).toBe(true);
  expect((await fetch(`http://127.0.0.1:${www}/page`)).headers.get('x-own')).toBe('yes');
  expect(await answers(`http://127.0.0.1:${gateway}/page`)).toEqual(new Set(['w2']));
  // Counters and latencies come from the operator's frontend.
  expect(
    await until(() => reconciled.traffic.some(({ instance, success }) => instance === 'w2' && success > 0)),
  ).toBe(true);
  expect(
    await until(() => reconciled.traffic.some(({ instance, latency }) => instance === 'w2' && latency)),
  ).toBe(true);
  expect(reconciled.sink.status()).toMatchObject({ state: 'ok' });

  // A new instance is in the file, and another reload keeps the drain.
  await reload();
  expect(await until(() => reconciled.sink.status().state === 'ok')).toBe(true);
  expect(await haproxyCommand(socket, 'show servers state web')).toMatch(/ w1 \S+ \d+ 8 /);
  await nextRequests(load);

  await reconciled.sink.close(60_000);
  unlinkSync(file);
  writeFileSync(file, text);
  await reload();
  expect(parseFingerprint(await haproxyCommand(socket, 'show backend'))).toBeNull();
  await nextRequests(load);
  await load.stop();
  expect(load.failures).toEqual([]);
});
