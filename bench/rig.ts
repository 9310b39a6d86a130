import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { bundleWorker } from '../dev/edge/bundle.ts';
import { freePort, freePorts } from '../dev/ports.ts';
import { startHaproxy } from '../dev/servers/haproxy.ts';
import { signSnapshot, toBase64Url } from '../shared/snapshot/signature.ts';
import type { Snapshot } from '../shared/snapshot/snapshot.ts';
import { headerRewritingWorker, passThroughWorker } from './baseline-workers.ts';
import { floorWorker } from './floor-worker.ts';
import { cpuMicros, readProcessStat, rssBytes } from './process-stats.ts';

/** The test rig of the edge benchmarks: one workerd with the edge and the baseline Workers, and one backend. */
export interface Rig {
  edgeUrl: string;
  passThroughUrl: string;
  /** A second pass-through Worker, whose origin is `RigOptions.proxyUrl`. */
  passThroughProxyUrl: string;
  rewritingUrl: string;
  /** The Worker of floor-worker.ts. */
  floorUrl: string;
  /** CPU time of workerd, microseconds. */
  workerdCpuMicros(): number;
  workerdRssBytes(): number;
  publish(snapshot: Omit<Snapshot, 'v' | 'site' | 'epoch' | 'seq' | 'issuedAt'>): Promise<void>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '..');

/** A benchmark's own Worker in place of the deployed one. */
export interface BenchWorker {
  /** Path from the repository root. */
  entry: string;
  /** Additional Durable Objects: binding → class. */
  objects: Record<string, string>;
}

interface RigOptions {
  inspectorPort?: number;
  worker?: BenchWorker;
  /** Default: there is no second pass-through Worker. */
  proxyUrl?: string;
}

export async function startRig(
  backendUrl: string,
  vars: Record<string, string> = {},
  { inspectorPort, worker, proxyUrl }: RigOptions = {},
): Promise<Rig> {
  const dir = mkdtempSync(join(tmpdir(), 'acgs-bench-'));
  const bundle = worker ? await bundleBenchWorker(worker, dir) : await bundleWorker(ROOT, dir);
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(ROOT, 'wrangler.toml'));
  const { modulesRules: _written, ...options } = workerOptions;
  const [edgePort = 0, passPort = 0, proxyPort = 0, rewritePort = 0, floorPort = 0] = await freePorts(5);
  const plain = plainWorker(String(options.compatibilityDate));
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('expected an Ed25519 key pair');
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
  const before = new Set(workerds());
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      ...(inspectorPort !== undefined && { inspectorPort }),
      log: new Log(LogLevel.ERROR),
      workers: [
        {
          ...options,
          name: 'edge',
          modules: [{ type: 'ESModule', path: bundle }],
          modulesRoot: dir,
          durableObjects: { ...(options.durableObjects as object), ...worker?.objects },
          bindings: {
            SITES: 'main',
            SNAPSHOT_PUBLIC_KEYS: `main:k1:${toBase64Url(raw)}`,
            CLIENT_ADDRESS_FROM: 'local',
            LOG_SAMPLE: '0',
            EDGE_TOKEN: 'bench',
            COOKIE_KEYS: `c1:${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`,
            ...vars,
          },
          unsafeDirectSockets: [{ host: '127.0.0.1', port: edgePort }],
        },
        plain('pass-through', passThroughWorker(backendUrl), passPort),
        ...(proxyUrl === undefined
          ? []
          : [plain('pass-through-proxy', passThroughWorker(proxyUrl), proxyPort)]),
        plain('rewriting', headerRewritingWorker(backendUrl), rewritePort),
        plain('floor', floorWorker(backendUrl), floorPort),
      ],
    }),
  );
  await miniflare.ready;
  const pids = workerds().filter((pid) => !before.has(pid));
  const edgeUrl = `http://127.0.0.1:${edgePort}`;
  let seq = 0;
  return {
    edgeUrl,
    passThroughUrl: `http://127.0.0.1:${passPort}`,
    passThroughProxyUrl: `http://127.0.0.1:${proxyPort}`,
    rewritingUrl: `http://127.0.0.1:${rewritePort}`,
    floorUrl: `http://127.0.0.1:${floorPort}`,
    workerdRssBytes: () => pids.reduce((sum, pid) => sum + rssBytes(pid), 0),
    workerdCpuMicros: () => pids.reduce((sum, pid) => sum + cpuMicros(pid), 0),
    async publish(part) {
      const snapshot: Snapshot = { v: 1, site: 'main', epoch: 1, seq: ++seq, issuedAt: Date.now(), ...part };
      const body = await signSnapshot(snapshot, { kid: 'k1', privateKey: pair.privateKey });
      const answer = await fetch(`${edgeUrl}/__acgs/snapshot/main`, { method: 'PUT', body });
      if (!answer.ok) throw new Error(`cannot publish the snapshot: ${answer.status} ${await answer.text()}`);
    },
    async stop() {
      await miniflare.dispose();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const plainWorker = (compatibilityDate: string) => (name: string, contents: string, port: number) => ({
  name,
  modules: [{ type: 'ESModule' as const, path: `${name}.mjs`, contents }],
  compatibilityDate,
  unsafeDirectSockets: [{ host: '127.0.0.1', port }],
});

async function bundleBenchWorker({ entry }: BenchWorker, dir: string): Promise<string> {
  const outfile = join(dir, 'index.js');
  await build({
    entryPoints: [join(ROOT, entry)],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    external: ['cloudflare:*'],
  });
  return outfile;
}

/** The workerd child processes of this process. */
function workerds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = readProcessStat(pid);
      return stat?.name === 'workerd' && stat.parent === process.pid;
    });
}

/** The fastest available backend: HAProxy with a fixed response. `named`: with the field of a gateway's response. */
export async function startBackend({ named = true } = {}): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'acgs-backend-'));
  const configFile = join(dir, 'backend.cfg');
  writeFileSync(
    configFile,
    `global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
frontend backend
  bind 127.0.0.1:${port}
  http-request return status 200 content-type text/plain${named ? ' hdr x-acgs-instance bench-1' : ''} string "response of a service\\n"
`,
  );
  const haproxy = await startHaproxy({ configFile });
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await haproxy.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
