import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { type Certificates, makeCertificates } from '../harness/certificates.ts';
import { startStack, type TestStack } from '../harness/stack.ts';
import { serverStat } from '../harness/status.ts';
import { until } from '../harness/until.ts';
import { sendRequest } from './http-request.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';
import { startLighttpd, startNginx, type WebServer, writeSite } from './web-servers.ts';

/** Instances with TLS, and one probed by TCP: which are accepted and which rejected, and why. */
export const nginxTls: Scenario = {
  name: 'nginx-tls',
  description:
    'nginx over HTTPS with a private CA and client certificates; lighttpd probed by TCP; both stopped',
  async run() {
    const findings = new ScenarioFindings();
    const folder = createPrivateFolder('acgs-ntls');
    const { root } = writeSite(folder, 1);
    const certificates = makeCertificates('acgs-lb');
    const servers = await Promise.all([
      startNginx(folder, root, 'tls-1', certificates),
      startNginx(folder, root, 'other-1', certificates),
      startLighttpd(folder, root, 'tcp-1'),
    ]);
    try {
      const configText = config(servers, certificates);
      const test = await startStack({ configText, args: ['--no-demo'] });
      try {
        await demonstrate(test, findings, servers);
      } finally {
        await test.stop();
      }
    } finally {
      await Promise.all(servers.map(({ child }) => child.stop()));
      certificates.remove();
      removeFolder(folder);
    }
    return findings.outcome;
  },
};

function config([tls, other, tcp]: WebServer[], { ca, otherCa, client }: Certificates): string {
  const health = (authority: string) =>
    `{ path: /, interval: 1s, fastInterval: 200ms, tls: { ca: ${authority}, cert: ${client.cert}, key: ${client.key} } }`;
  return `version: 1
site: { id: main }
defaults: { rateLimits: [], slowStart: 0s }
services:
  tls: { routes: [/], health: ${health(ca)}, instances: [ { id: tls-1, url: "https://127.0.0.1:${tls?.port}" } ] }
  other: { routes: [/other], health: ${health(otherCa)}, instances: [ { id: other-1, url: "https://127.0.0.1:${other?.port}" } ] }
  tcp: { routes: [/old], health: { type: tcp, interval: 1s, fastInterval: 200ms }, instances: [ { id: tcp-1, url: "http://127.0.0.1:${tcp?.port}" } ] }
haproxy: { rateLimit: off }
`;
}

async function demonstrate(
  { stack }: TestStack,
  findings: ScenarioFindings,
  servers: WebServer[],
): Promise<void> {
  const reason = async (service: string) => {
    const response = await fetch(`${stack.agent}/v1/services/${service}/instances/${service}-1`);
    const { state, reason: why } = (await response.json()) as { state: string; reason: string };
    return `${state}: ${why}`;
  };
  const answered = async (path: string) => {
    const { status, headers } = await sendRequest(stack.edge + path);
    return `${status} ${headers['x-acgs-instance'] ?? ''}`;
  };
  findings.check(
    (await answered('/digits.txt')) === '200 tls-1',
    `HTTPS, private CA, client certificate: ${await reason('tls')}`,
  );
  findings.check((await answered('/old/')).endsWith(' tcp-1'), `TCP: ${await reason('tcp')}`);
  const rejected = await reason('other');
  findings.check(/^down: .*unknown authority/.test(rejected), `signed by an unknown CA: ${rejected}`);
  findings.check((await answered('/other')).startsWith('503'), 'the rejected instance gets no request');

  for (const [index, service] of [
    [0, 'tls'],
    [2, 'tcp'],
  ] as const) {
    const killedAt = Date.now();
    servers[index]?.child.signal('SIGKILL');
    const out = await until(
      async () =>
        !(await serverStat(stack, service, `${service}-1`)).status?.startsWith('UP') && Date.now() - killedAt,
      { everyMs: 10 },
    );
    findings.check(
      out !== null,
      `${service}-1 killed: out of HAProxy after ${out} ms, ${await reason(service)}`,
    );
  }
}
