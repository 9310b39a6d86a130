import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { type Child, startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startLoad } from '../harness/load.ts';
import { startStack } from '../harness/stack.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** Clients connect directly to HAProxy, without the edge's retries. */
export const haproxyAlone: Scenario = {
  name: 'haproxy-alone',
  description:
    'kill -9 nginx under load directly at HAProxy (64 connections); lighttpd and nginx remain: GET, then POST',
  async run() {
    const findings = new ScenarioFindings();
    const folder = createPrivateFolder('acgs-alone');
    const servers = await Promise.all([
      start(folder, 'get-1', nginx),
      start(folder, 'get-2', lighttpd),
      start(folder, 'post-1', nginx),
      start(folder, 'post-2', nginx),
    ]);
    const [getOne, getTwo, postOne, postTwo] = servers.map(
      ({ id, port }) => `{ id: ${id}, url: "http://127.0.0.1:${port}" }`,
    );
    const configText = `version: 1
site: { id: main }
defaults: { rateLimits: [], health: { path: / } }
services:
  get: { routes: [/], instances: [ ${getOne}, ${getTwo} ] }
  post: { routes: [/post], instances: [ ${postOne}, ${postTwo} ] }
haproxy: { rateLimit: off }
`;
    const script = join(folder, 'post.lua');
    writeFileSync(script, 'wrk.method = "POST"\nwrk.body = "x=1"\n');
    try {
      const test = await startStack({ configText, args: ['--no-demo'] });
      try {
        await killUnderLoad(findings, {
          victim: servers[0]?.child,
          method: 'GET',
          url: `${test.stack.gateway}/`,
        });
        await killUnderLoad(findings, {
          victim: servers[2]?.child,
          method: 'POST',
          url: `${test.stack.gateway}/post`,
          script,
        });
      } finally {
        await test.stop();
      }
    } finally {
      await Promise.all(servers.map(({ child }) => child.stop()));
      removeFolder(folder);
    }
    return findings.outcome;
  },
};

interface KilledLoad {
  victim: Child | undefined;
  method: string;
  url: string;
  script?: string;
}

/** HAProxy retries GETs on another server. Only POSTs in flight on the killed server can fail. */
async function killUnderLoad(findings: ScenarioFindings, { victim, method, url, script }: KilledLoad) {
  const load = startLoad(url, { seconds: 8, ...(script && { script }) });
  await sleep(3_000);
  victim?.signal('SIGKILL');
  const result = await load.result;
  const summary = `${method}: ${result.failed} of ${result.requests} failed (${result.detail}); ${result.perSecond.toFixed(0)}/s, p99 ${result.p99} ms, max ${result.max} ms`;
  findings.check(method === 'GET' ? result.failed === 0 : result.failed <= 64, summary);
}

/** One process, so that a kill leaves no workers. */
function nginx(folder: string, id: string, port: number): { command: string; args: string[] } {
  const file = join(folder, `${id}.conf`);
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/${id}.pid; error_log stderr; events { worker_connections 1024; }
http { access_log off; server { listen 127.0.0.1:${port}; location / { return 200 "${id}\\n"; } } }\n`,
  );
  return { command: requireProgram('nginx', 'nginx-light'), args: ['-e', 'stderr', '-c', file] };
}

function lighttpd(folder: string, id: string, port: number): { command: string; args: string[] } {
  const file = join(folder, `${id}.conf`);
  writeFileSync(join(folder, 'index.html'), `${id}\n`);
  writeFileSync(
    file,
    `server.document-root = "${folder}"\nserver.bind = "127.0.0.1"\nserver.port = ${port}\nindex-file.names = ("index.html")\n`,
  );
  return { command: requireProgram('lighttpd', 'lighttpd'), args: ['-D', '-f', file] };
}

function requireProgram(program: string, debianPackage: string): string {
  const path = findProgram(program);
  if (!path) throw new Error(`${program} is not installed: apt-get install ${debianPackage}`);
  return path;
}

async function start(folder: string, id: string, server: typeof nginx) {
  const port = await freePort();
  const { command, args } = server(folder, id, port);
  const child = await startChild({ name: id, command, args, logFile: join(folder, `${id}.log`) });
  await waitUntilReady(child, async () => (await fetch(`http://127.0.0.1:${port}/`)).ok);
  return { id, port, child };
}
