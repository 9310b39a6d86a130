import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { bundleWorker } from './bundle.ts';
import { LAGGING_KV } from './lagging-kv.ts';

type WorkerBindings = Record<string, string>;

export interface LocalEdgeOptions {
  /** The checkout: wrangler.toml and worker/ are in it. */
  root: string;
  host: string;
  port: number;
  /** Variables and secrets over those of wrangler.toml. */
  vars: Record<string, string>;
  /** Where KV and Durable Objects are kept; in memory when absent. */
  persist?: string;
  /** Where the bundle is written. */
  buildDir: string;
  /** A bundle made before; made now when absent. */
  bundle?: string;
  kvLagMs?: number;
  kvDown?: boolean;
  /** In place of wrangler.toml. */
  config?: string;
  /** Every line the Worker writes; to this process's own output when absent. */
  onLog?: (line: { level: string; message: string }) => void;
}

/**
 * The Worker in workerd, configured by wrangler.toml alone, on a socket of its own: Miniflare's usual entry costs two
 * thirds of the throughput. Resolves when it answers.
 */
export async function startLocalEdge(edge: LocalEdgeOptions): Promise<Miniflare> {
  const bundle = edge.bundle ?? (await bundleWorker(edge.root, edge.buildDir));
  const { workerOptions } = unstable_getMiniflareWorkerOptions(
    edge.config ?? join(edge.root, 'wrangler.toml'),
  );
  const { modulesRules: _written, ...options } = workerOptions;
  const lagging = edge.kvDown || (edge.kvLagMs ?? 0) > 0;
  const { SNAPSHOTS, ...otherKv } = namespaces(options.kvNamespaces);
  const worker = {
    ...options,
    name: 'edge',
    modules: [{ type: 'ESModule' as const, path: bundle }],
    modulesRoot: edge.buildDir,
    bindings: { ...(options.bindings as WorkerBindings), ...edge.vars },
    unsafeDirectSockets: [{ host: edge.host, port: edge.port }],
    ...(lagging && {
      kvNamespaces: otherKv,
      serviceBindings: { ...(options.serviceBindings as WorkerBindings), SNAPSHOTS: 'lagging-kv' },
    }),
  };
  const kv = {
    name: 'lagging-kv',
    modules: [{ type: 'ESModule' as const, path: 'lagging-kv.mjs', contents: LAGGING_KV }],
    compatibilityDate: String(options.compatibilityDate),
    kvNamespaces: { STORE: SNAPSHOTS ?? 'SNAPSHOTS' },
    bindings: { LAG_MS: edge.kvLagMs ?? 0, DOWN: edge.kvDown ?? false },
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      ...(edge.onLog && { handleStructuredLogs: edge.onLog }),
      ...(edge.persist && { resourcePersistencePath: edge.persist }),
      workers: [worker, ...(lagging ? [kv] : [])],
    }),
  );
  await miniflare.ready;
  return miniflare;
}

/** Binding name → namespace id, whichever of its forms the options have. */
function namespaces(kv: unknown): Record<string, string> {
  if (Array.isArray(kv)) return Object.fromEntries(kv.map((name) => [String(name), String(name)]));
  return Object.fromEntries(
    Object.entries((kv ?? {}) as Record<string, string | { id?: string }>).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : (value.id ?? name),
    ]),
  );
}
