import { join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { bundleWorker } from './bundle.ts';
import { LAGGING_KV } from './lagging-kv.ts';

type WorkerBindings = Record<string, string>;

export interface LocalEdgeOptions {
  /** The checkout, with wrangler.toml and worker/. */
  root: string;
  host: string;
  port: number;
  /** Variables and secrets; they override wrangler.toml. */
  vars: Record<string, string>;
  /** Folder for KV and Durable Objects; in memory when absent. */
  persist?: string;
  /** Folder for the bundle. */
  buildDir: string;
  /** An existing bundle; built when absent. */
  bundle?: string;
  kvLagMs?: number;
  kvDown?: boolean;
  /** Other Workers by name, as JavaScript. */
  otherWorkers?: Record<string, string>;
  /** Service bindings: the name of the binding → the name of the other Worker. */
  services?: Record<string, string>;
  /** The other Worker that gets every upstream request in place of the network. */
  outbound?: string;
  /** Receives each log line of the Worker; without it they go to this process's output. */
  onLog?: (line: { level: string; message: string }) => void;
}

/**
 * Starts the Worker in workerd, configured by wrangler.toml, on a direct socket: Miniflare's own entry costs two thirds of
 * the throughput. Resolves when the Worker is ready.
 */
export async function startLocalEdge(edge: LocalEdgeOptions): Promise<Miniflare> {
  const bundle = edge.bundle ?? (await bundleWorker(edge.root, edge.buildDir));
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(edge.root, 'wrangler.toml'));
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
    serviceBindings: {
      ...(options.serviceBindings as WorkerBindings),
      ...edge.services,
      ...(lagging && { SNAPSHOTS: 'lagging-kv' }),
    },
    ...(lagging && { kvNamespaces: otherKv }),
    ...(edge.outbound && { outboundService: edge.outbound }),
  };
  const others = Object.entries(edge.otherWorkers ?? {}).map(([name, contents]) => ({
    name,
    modules: [{ type: 'ESModule' as const, path: `${name}.mjs`, contents }],
    compatibilityDate: String(options.compatibilityDate),
  }));
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
      workers: [worker, ...others, ...(lagging ? [kv] : [])],
    }),
  );
  await miniflare.ready;
  return miniflare;
}

/** Maps binding names to namespace ids, for every form of the option. */
function namespaces(kv: unknown): Record<string, string> {
  if (Array.isArray(kv)) return Object.fromEntries(kv.map((name) => [String(name), String(name)]));
  return Object.fromEntries(
    Object.entries((kv ?? {}) as Record<string, string | { id?: string }>).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : (value.id ?? name),
    ]),
  );
}
