import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startHaproxy } from '../../dev/servers/haproxy.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { startOrigin } from '../harness/origin.ts';
import { releaseAfterTests, startBeforeTests } from './haproxy-harness.ts';

/** With mode `beside`, the rules that also hold for the operator's own frontends. */

const LIMIT = 5;
let own = '';
let gateway = '';

startBeforeTests(async () => {
  const folder = createPrivateFolder('acgs-bs');
  const origin = await startOrigin('gs-1');
  const [www, gatewayPort, stats, check] = await freePorts(4);
  own = `http://127.0.0.1:${www}`;
  gateway = `http://127.0.0.1:${gatewayPort}`;
  const conf = join(folder, 'conf.d');
  mkdirSync(conf);
  writeFileSync(
    join(conf, '10-own.cfg'),
    `global
    stats socket ${join(folder, 'admin.sock')} level admin
    tune.bufsize 131072
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 60s
frontend www
    bind 127.0.0.1:${www}
    # The counter that most configurations use for their own limit.
    http-request track-sc0 src table mine
    http-request set-src req.hdr(x-client) if { req.hdr(x-client) -m found }
    use_backend gs:long if { path_beg /events }
    default_backend gs
backend mine
    stick-table type ip size 100 expire 30s store http_req_rate(10s)
`,
  );
  const config = parseConfig(`version: 1
site: { id: main }
services:
  gs:
    routes: [/]
    access: [{ path: /admin, allow: [10.0.0.0/8] }]
    instances: [{ id: gs-1, url: "${origin.url}" }]
haproxy: { mode: beside, mainFile: ${conf}, file: ${join(conf, '90-acgs-lb.cfg')}, bind: ["127.0.0.1:${gatewayPort}"],
  stats: "127.0.0.1:${stats}", agentCheck: "127.0.0.1:${check}", socket: ${join(folder, 'admin.sock')},
  rateLimit: ${LIMIT}/10m }
`);
  const secrets = { statsUser: 'a', statsPassword: 'b', edgePublicKeys: '' };
  await installHaproxyConfig({ config, instances: configInstances(config), secrets });
  const haproxy = await startHaproxy({ configFile: conf, logFile: join(folder, 'haproxy.log') });
  releaseAfterTests(async () => {
    await haproxy.stop();
    await origin.stop();
    removeFolder(folder);
  });
});

const statuses = async (url: string, count: number, client?: string): Promise<number[]> => {
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    found.push((await fetch(url, client ? { headers: { 'x-client': client } } : {})).status);
  }
  return found;
};
const allowed = (count: number) => Array.from({ length: count }, () => 200);

test('the rate limit counts the requests of both kinds of frontends together, each once', async () => {
  expect(await statuses(own, 2)).toEqual(allowed(2));
  expect(await statuses(gateway, 2)).toEqual(allowed(2));
  expect(await statuses(`${own}/events`, 1)).toEqual(allowed(1));
  const rejected = await fetch(own);
  expect(rejected.status).toBe(429);
  expect(rejected.headers.get('retry-after')).toBe('600');
  expect(rejected.headers.get('content-type')).toBe('application/problem+json');
  expect(await statuses(`${own}/events`, 1)).toEqual([429]);
  expect(await statuses(gateway, 1)).toEqual([429]);
  // Another client, by the address that the frontend has set.
  expect(await statuses(own, LIMIT + 1, '192.0.2.9')).toEqual([...allowed(LIMIT), 429]);
});

test('access rules hold for both kinds of frontends', async () => {
  expect(await statuses(`${own}/admin/x`, 1, '192.0.2.10')).toEqual([403]);
  expect(await statuses(`${own}/%61dmin/x`, 1, '192.0.2.10')).toEqual([403]);
  expect(await statuses(`${own}/admin/x`, 1, '10.0.0.1')).toEqual([200]);
});
