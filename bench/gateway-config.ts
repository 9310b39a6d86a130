import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../dev/servers/folder.ts';
import { startHaproxy } from '../dev/servers/haproxy.ts';
import { cpuMeterOf, type MeteredHaproxy, startGateway, startLogSink } from './gateway.ts';
import { startBackend } from './rig.ts';
import { type BenchTable, ROUNDS, tableOf } from './table.ts';
import { wrk, wrkOrThrow } from './wrk.ts';

const OURS = 'acgs-lb, as shipped';
const CONNECTIONS = 64;
const SECONDS = 1;
const NO_LIMIT = 1_000_000_000;

/** HAProxy with acgs-lb's configuration, compared with HAProxy with the settings of the original guide. */
export async function benchGatewayConfig(): Promise<BenchTable[]> {
  // An instance sends none of acgs-lb's fields.
  const backend = await startBackend({ named: false });
  const guide = await startGuide(backend.url);
  const ours = await startGateway(backend.url, {
    requireEdge: false,
    rateLimit: `${NO_LIMIT}/10s`,
  });
  const contenders: [what: string, haproxy: MeteredHaproxy][] = [
    ["the guide's configuration", guide],
    [OURS, ours],
  ];
  try {
    const rows = contenders.map(([what, haproxy]) => ({
      what,
      haproxy,
      perSecond: [] as number[],
      micros: [] as number[],
    }));
    for (const [, { url }] of contenders) await wrk(`${url}/gateway/x`, 1);
    for (let round = 0; round < ROUNDS; round++) {
      for (const { haproxy, perSecond, micros } of rows) {
        const before = haproxy.cpuMicros();
        const result = await wrkOrThrow(`${haproxy.url}/gateway/x`, {
          seconds: SECONDS,
          connections: CONNECTIONS,
        });
        micros.push((haproxy.cpuMicros() - before) / result.requests);
        perSecond.push(result.perSecond);
      }
    }
    return [
      tableOf(
        `Throughput: GET, ${CONNECTIONS} connections`,
        'requests/s',
        rows.map(({ what, perSecond }) => ({ what, rounds: perSecond })),
        [{ what: OURS, atLeast: 0.95 }],
      ),
      tableOf(
        'Processor time of HAProxy',
        'µs per request',
        rows.map(({ what, micros }) => ({ what, rounds: micros })),
      ),
    ];
  } finally {
    await guide.stop();
    await ours.stop();
    await backend.stop();
  }
}

/** HAProxy with the settings that the guide shows. */
export async function startGuide(backendUrl: string): Promise<MeteredHaproxy> {
  const folder = createPrivateFolder('acgs-bg');
  const [port, log] = [await freePort(), await freePort()];
  const configFile = join(folder, 'haproxy.cfg');
  writeFileSync(configFile, guideConfig({ port, log, backendUrl }));
  const sink = await startLogSink(log);
  const haproxy = await startHaproxy({ configFile });
  return {
    url: `http://127.0.0.1:${port}`,
    cpuMicros: cpuMeterOf(haproxy.child.pid),
    async stop() {
      await haproxy.stop();
      sink.stop();
      removeFolder(folder);
    },
  };
}

export interface GuidePorts {
  port: number;
  /** UDP. */
  log: number;
  backendUrl: string;
}

/** The settings that the guide shows, and a log, which it reads. `more`: lines for the frontend. */
export const guideConfig = ({ port, log, backendUrl }: GuidePorts, more: readonly string[] = []): string => {
  const { host } = new URL(backendUrl);
  return `global
    maxconn 8192
    nbthread 1
    log 127.0.0.1:${log} local0
defaults
    mode http
    log global
    option httplog
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 3s
frontend acgs_frontend
    bind 127.0.0.1:${port}
    acl admin_networks src 10.0.0.0/8 192.168.0.0/16
    http-request deny if { path_beg /admin } !admin_networks
    stick-table type ip size 100k expire 30s store http_req_rate(10s)
    http-request track-sc0 src
    http-request reject if { sc_http_req_rate(0) gt ${NO_LIMIT} }
${more.map((line) => `    ${line}\n`).join('')}    use_backend gateway if { path_beg /gateway }
backend gateway
    balance roundrobin
    hash-type consistent
    stick-table type ip size 100k expire 30s
    option httpchk GET /health
    http-check expect status 200
    server bench-1 ${host} check maxconn 2000
    server bench-2 ${host} check maxconn 2000
`;
};
