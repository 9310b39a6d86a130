import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startLoad } from '../harness/load.ts';
import { startStack } from '../harness/stack.ts';
import { type RawRequest, type RawResponse, sendRequest } from './http-request.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';
import { startLighttpd, startNginx, type WebServer, writeSite } from './web-servers.ts';

const MEGABYTES = 64;

/** Third-party servers as instances (`npm start -- --no-demo --config …`): responses must reach the client unchanged. */
export const nginxInstances: Scenario = {
  name: 'nginx-instances',
  description:
    'nginx and lighttpd as instances: HEAD, ranges, 304, redirects, a large file; nginx killed -9 under load',
  async run() {
    const findings = new ScenarioFindings();
    const folder = createPrivateFolder('acgs-nginx');
    const { root, sha256 } = writeSite(folder, MEGABYTES);
    const servers = await Promise.all([
      startNginx(folder, root, 'nginx-1'),
      startLighttpd(folder, root, 'lighttpd-1'),
    ]);
    try {
      const test = await startStack({ configText: config(servers), args: ['--no-demo'] });
      try {
        await checkUnchanged(findings, test.stack.edge, servers, sha256);
        const load = startLoad(`${test.stack.edge}/index.html`, { seconds: 8 });
        await sleep(3_000);
        servers[0]?.child.signal('SIGKILL');
        const { failed, requests, detail } = await load.result;
        findings.check(failed === 0, `nginx killed: ${failed} of ${requests} GETs failed (${detail})`);
      } finally {
        await test.stop();
      }
      findings.check(servers[1]?.child.running === true, 'lighttpd runs after the stack has stopped');
    } finally {
      await Promise.all(servers.map(({ child }) => child.stop()));
      removeFolder(folder);
    }
    return findings.outcome;
  },
};

function config(servers: WebServer[]): string {
  const instances = servers.map(({ id, port }) => `{ id: ${id}, url: "http://127.0.0.1:${port}" }`);
  return `version: 1
site: { id: main }
defaults: { strategy: round_robin, rateLimits: [], health: { path: / }, affinity: { by: none } }
services:
  web: { routes: [/], instances: [ ${instances.join(', ')} ] }
haproxy: { rateLimit: off }
`;
}

async function checkUnchanged(
  findings: ScenarioFindings,
  edge: string,
  servers: WebServer[],
  sha256: string,
): Promise<void> {
  const direct = servers.map(({ port }) => sendRequest(`http://127.0.0.1:${port}/digits.txt`));
  const etags = (await Promise.all(direct)).map(({ headers }) => String(headers.etag)).join(', ');
  const large = (body: Buffer) => createHash('sha256').update(body).digest('hex') === sha256;
  const cases: [string, string, RawRequest, (answer: RawResponse) => boolean][] = [
    ['GET', '/digits.txt', {}, ({ status, body }) => status === 200 && String(body) === '0123456789'],
    [
      'HEAD',
      '/digits.txt',
      { method: 'HEAD' },
      ({ status, body, headers }) =>
        status === 200 && body.length === 0 && headers['content-length'] === '10',
    ],
    [
      'Range',
      '/digits.txt',
      { headers: { range: 'bytes=2-4' } },
      ({ status, body, headers }) =>
        status === 206 && String(body) === '234' && headers['content-range'] === 'bytes 2-4/10',
    ],
    [
      'If-None-Match',
      '/digits.txt',
      { headers: { 'if-none-match': etags } },
      ({ status, body }) => status === 304 && body.length === 0,
    ],
    [
      'redirect',
      '/moved',
      {},
      ({ status, headers }) => status === 301 && String(headers.location).endsWith('/digits.txt?from=moved'),
    ],
    [`${MEGABYTES} MiB, checksum`, '/large.bin', {}, ({ status, body }) => status === 200 && large(body)],
  ];
  for (const [name, path, request, isCorrect] of cases) {
    const by = new Map<string, string>();
    for (let turn = 0; turn < 12 && by.size < servers.length; turn++) {
      const answer = await sendRequest(edge + path, request);
      const details = `${answer.status} ${answer.error ?? ''}${JSON.stringify(answer.headers)}`;
      by.set(String(answer.headers['x-acgs-instance']), isCorrect(answer) ? '' : details);
    }
    const wrong = [...by].filter(([, details]) => details).map(([id, details]) => `${id}: ${details}`);
    const correct = wrong.length === 0 && by.size === servers.length;
    findings.check(correct, `${name}: ${wrong.join('; ') || [...by.keys()].join(', ')}`);
  }
}
