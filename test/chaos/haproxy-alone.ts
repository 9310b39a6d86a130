import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startLoad } from '../harness/load.ts';
import { startStack } from '../harness/stack.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';
import { startLighttpd, startNginx, writeSite } from './web-servers.ts';

/** Clients connect directly to HAProxy, without the edge's retries. */
export const haproxyAlone: Scenario = {
  name: 'haproxy-alone',
  description:
    'kill -9 nginx under load directly at HAProxy (64 connections); lighttpd and nginx remain: GET, then POST',
  async run() {
    const findings = new ScenarioFindings();
    const folder = createPrivateFolder('acgs-alone');
    const { root } = writeSite(folder, 1);
    const servers = await Promise.all([
      startNginx(folder, root, 'get-1'),
      startLighttpd(folder, root, 'get-2'),
      startNginx(folder, root, 'post-1'),
      startNginx(folder, root, 'post-2'),
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
