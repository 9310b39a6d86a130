import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configInstances } from '../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../agent/haproxy/render/install.ts';
import { freePorts } from '../dev/ports.ts';
import { type RunningServer, startChild, waitUntilReady } from '../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../dev/servers/folder.ts';
import { startHaproxy } from '../dev/servers/haproxy.ts';
import type { Config } from '../shared/config/config.ts';
import { parseConfig } from '../shared/config/load.ts';
import { ENVELOPE_HEADER, encodeEnvelope } from '../shared/envelope.ts';
import { callgrindArguments, countInstructions, sequentialClient } from './callgrind.ts';
import { edgeToken } from './edge-token.ts';
import { startLogSink } from './gateway.ts';
import { guideConfig } from './gateway-config.ts';
import { type BenchTable, tableOf } from './table.ts';

const WARM_UP = 50;
const REQUESTS = 100;
const BATCHES = 3;
const NO_LIMIT = 1_000_000_000;

/** The parts of the processing, by functions of HAProxy that its binary exports. The third contains the fourth. */
const PARTS = {
  'tcp-request content: what the request is, the envelope': 'tcp_inspect_request',
  'http-request: route, limit, header fields': 'http_process_req_common',
  'http-response and http-after-response': 'http_process_res_common',
  'of these, http-after-response': 'http_eval_after_res_rules',
  'log line': 'strm_log',
};
const NAMES = Object.keys(PARTS);

const BROWSER = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'accept-language': 'en-US,en;q=0.5',
  'accept-encoding': 'gzip, deflate, br',
  cookie: 'session=0123456789abcdef0123456789abcdef; theme=dark',
  'cache-control': 'no-cache',
  'sec-fetch-dest': 'document',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-site': 'same-origin',
  referer: 'https://www.example/start',
};

/** What each line of a smaller configuration costs beside the guide's. */
const ADDITIONS: Readonly<Record<string, readonly string[]>> = {
  'guide, and X-Forwarded-For, -Proto, -Host and Via': [
    'http-request set-header X-Forwarded-For %[src]',
    'http-request set-header X-Forwarded-Proto http',
    'http-request set-header X-Forwarded-Host %[req.fhdr(host)]',
    "http-request add-header Via '%[req.ver] proxy'",
  ],
  'guide, and hop-by-hop fields removed by a pattern': [
    "http-request del-header '^(connection|keep-alive|proxy-connection|te|trailer|upgrade)$' -m reg",
    "http-response del-header '^(connection|keep-alive|proxy-connection|te|trailer|upgrade)$' -m reg",
  ],
  'guide, and a request id on both sides': [
    'http-request set-var(txn.id) uuid()',
    'http-request set-header x-request-id %[var(txn.id)]',
    'http-after-response set-header x-request-id %[var(txn.id)]',
  ],
};

interface RulesVariant {
  what: string;
  configFile: string;
  url: string;
  headers: Record<string, string>;
}

interface RulesCount {
  what: string;
  /** Thousand instructions per request. */
  total: number;
  parts: number[];
}

/**
 * Instructions of HAProxy per request, under callgrind and without the kernel: our configuration for the shipped
 * acgs-lb.yaml, and the guide's with and without single features.
 */
export async function benchHaproxyRules(): Promise<BenchTable[]> {
  const folder = createPrivateFolder('acgs-br');
  const [backendPort = 0, port = 0, log = 0, stats = 0, agent = 0] = await freePorts(5);
  const backendUrl = `http://127.0.0.1:${backendPort}`;
  const backendFile = join(folder, 'backend.cfg');
  writeFileSync(backendFile, backendConfig(backendPort));
  const [backend, sink] = [await startHaproxy({ configFile: backendFile }), await startLogSink(log)];
  try {
    const guideUrl = `http://127.0.0.1:${port}/gateway/x`;
    const guide = (what: string, more: readonly string[]): RulesVariant => {
      const configFile = join(folder, `guide-${more.length}-${what.length}.cfg`);
      writeFileSync(configFile, guideConfig({ port, log, backendUrl }, more));
      return { what, configFile, url: guideUrl, headers: BROWSER };
    };
    const ours = await installOurs(folder, { backendUrl, port, log, stats, agent });
    const direct = { configFile: ours.file, url: `http://127.0.0.1:${port}/api/v1/auth/x` };
    const variants: RulesVariant[] = [
      guide("the guide's configuration", []),
      { what: 'acgs-lb, from a browser', ...direct, headers: BROWSER },
      {
        what: 'acgs-lb, from the edge',
        ...direct,
        headers: { ...BROWSER, ...(await envelope(ours.jwtKey)) },
      },
      {
        what: 'acgs-lb, not ordinary: with a request id of the client',
        ...direct,
        headers: { ...BROWSER, 'x-request-id': 'r-1' },
      },
      ...Object.entries(ADDITIONS).map(([what, more]) => guide(what, more)),
    ];
    const counts: RulesCount[] = [];
    for (const variant of variants) counts.push(await countVariant(folder, variant));
    return tablesOf(counts);
  } finally {
    await backend.stop();
    sink.stop();
    removeFolder(folder);
  }
}

function tablesOf(counts: readonly RulesCount[]): BenchTable[] {
  const [guide, ...others] = counts;
  const unit = 'thousand instructions per request';
  const ours = others.filter(({ what }) => what.startsWith('acgs-lb'));
  return [
    tableOf(
      'HAProxy, the fields of a browser',
      unit,
      counts.map(({ what, total }) => ({ what, rounds: [total] })),
    ),
    ...ours.map(({ what, total, parts }) =>
      tableOf(`${what}: parts`, unit, [
        { what: 'all', rounds: [total] },
        ...NAMES.map((part, index) => ({ what: part, rounds: [parts[index] ?? 0] })),
        { what: "the guide's whole configuration", rounds: [guide?.total ?? 0] },
      ]),
    ),
  ];
}

async function countVariant(folder: string, { what, configFile, url, headers }: RulesVariant) {
  const haproxy = await startUnderCallgrind(folder, configFile, url);
  try {
    const client = sequentialClient(url, headers);
    await client(WARM_UP);
    const counts: RulesCount[] = [];
    for (let batch = 0; batch < BATCHES; batch++) {
      const count = await countInstructions(folder, () => client(REQUESTS), {
        functions: Object.values(PARTS),
      });
      const perRequest = (instructions: number): number => instructions / REQUESTS / 1_000;
      counts.push({ what, total: perRequest(count.total), parts: count.inclusive.map(perRequest) });
    }
    // The lowest: the others include health checks.
    return counts.reduce((least, one) => (one.total < least.total ? one : least));
  } finally {
    await haproxy.stop();
  }
}

async function startUnderCallgrind(folder: string, configFile: string, url: string): Promise<RunningServer> {
  const child = await startChild({
    name: 'haproxy',
    command: 'valgrind',
    args: [...callgrindArguments(folder), 'haproxy', '-db', '-f', configFile],
    logFile: join(folder, 'valgrind.log'),
    // Callgrind counts each byte of `rep movsb` as an instruction.
    env: { ...process.env, GLIBC_TUNABLES: 'glibc.cpu.x86_rep_movsb_threshold=100000000' },
  });
  const server = { child, stop: () => child.stop() };
  await waitUntilReady(child, async () => (await fetch(url)).status === 200);
  return server;
}

interface OurPorts {
  backendUrl: string;
  port: number;
  log: number;
  stats: number;
  agent: number;
}

/** The shipped acgs-lb.yaml, with one thread, no limit that the load would reach, and one backend as all instances. */
async function installOurs(folder: string, { backendUrl, port, log, stats, agent }: OurPorts) {
  const shipped = parseConfig(readFileSync(new URL('../acgs-lb.yaml', import.meta.url), 'utf8'));
  const services = Object.fromEntries(
    Object.entries(shipped.services).map(([id, service]) => [
      id,
      { ...service, instances: service.instances.map((instance) => ({ ...instance, url: backendUrl })) },
    ]),
  );
  const haproxy = {
    ...shipped.haproxy,
    threads: 1,
    bind: [`127.0.0.1:${port}`],
    stats: `127.0.0.1:${stats}`,
    agentCheck: `127.0.0.1:${log}`,
    log: `127.0.0.1:${log}`,
    rateLimit: shipped.haproxy.rateLimit && { ...shipped.haproxy.rateLimit, limit: NO_LIMIT },
    socket: join(folder, 'admin.sock'),
    masterSocket: join(folder, 'master.sock'),
    file: join(folder, 'haproxy.cfg'),
  };
  const config: Config = {
    ...shipped,
    services,
    haproxy,
    agent: { ...shipped.agent, bind: `127.0.0.1:${agent}` },
  };
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encode = (der: Buffer): string => `k1:${der.toString('base64url')}`;
  await installHaproxyConfig({
    config,
    instances: configInstances(config),
    secrets: {
      statsUser: 'admin',
      statsPassword: 'bench',
      edgePublicKeys: encode(publicKey.export({ type: 'spki', format: 'der' })),
    },
  });
  return { file: haproxy.file, jwtKey: encode(privateKey.export({ type: 'pkcs8', format: 'der' })) };
}

/** As the edge sends it for an ordinary request. */
async function envelope(jwtKey: string): Promise<Record<string, string>> {
  const fields = {
    client: '192.0.2.1',
    proto: 'https',
    host: 'www.example',
    requestId: '0d9f3c52-6a3e-4b1c-8d55',
    service: 'auth',
    target: null,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    rateLimit: '"per-ip";r=19;t=10',
    rateLimitPolicy: '"per-ip";q=20;w=10',
  };
  return { [ENVELOPE_HEADER]: encodeEnvelope(await edgeToken(jwtKey), fields) };
}

const backendConfig = (port: number): string => `global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
frontend backend
  bind 127.0.0.1:${port}
  http-request return status 200 content-type text/plain hdr date "Sat, 28 Nov 2026 20:44:51 GMT" hdr etag abc hdr cache-control no-cache string "response of a service\\n"
`;
