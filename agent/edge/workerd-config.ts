/** Settings of `workerd serve` for the edge, with its Durable Objects on local disk. */
export interface WorkerdOptions {
  /** `*:8787`, `127.0.0.1:8787` or `[::1]:8787`. */
  bind: string;
  compatibilityDate: string;
  compatibilityFlags: readonly string[];
  /** Absolute path of the storage of the Hub and the limiters. */
  objectsDir: string;
  /** PEM files to embed, relative to the configuration. */
  tls?: { certificate: string; key: string };
}

/** The variables of the Worker. Their values come from the environment and are never written to a file. */
export const EDGE_VARIABLES = [
  'SITES',
  'SNAPSHOT_PUBLIC_KEYS',
  'SITE_DIRECTORY_KEYS',
  'FALLBACK_ORIGIN',
  'COOKIE_KEYS',
  'GATEWAY_JWT_KEY',
  'EDGE_TOKEN',
  'CLIENT_ADDRESS_FROM',
  'LOG_SAMPLE',
  'TRACE_SAMPLE',
  'TRUST_TRACEPARENT',
  'MAX_HEADER_BYTES',
  'MAX_SLOW_UPLOADS',
  'FALLBACK_LIMIT',
] as const;

const OBJECTS = { SNAPSHOT_HUB: 'SnapshotHub', LIMITER: 'Limiter' } as const;

/** A workerd configuration in Cap'n Proto's text form. `index.js`, the bundled Worker, and `cache.js` are beside it. */
export function workerdConfig(options: WorkerdOptions): string {
  const { bind, compatibilityDate, compatibilityFlags, objectsDir, tls } = options;
  const socket = tls
    ? `https = (options = (), tlsOptions = (keypair = (privateKey = embed ${capnpString(tls.key)}, certificateChain = embed ${capnpString(tls.certificate)})))`
    : 'http = ()';
  const variables = EDGE_VARIABLES.map(
    (name) => `(name = ${capnpString(name)}, fromEnvironment = ${capnpString(name)})`,
  );
  const objects = Object.entries(OBJECTS);
  const bindings = objects.map(
    ([name, kind]) => `(name = ${capnpString(name)}, durableObjectNamespace = ${capnpString(kind)})`,
  );
  // The key is the folder name of the objects, so it must never change.
  const namespaces = objects.map(
    ([, kind]) =>
      `(className = ${capnpString(kind)}, uniqueKey = ${capnpString(`acgs-lb-${kind}`)}, enableSql = true)`,
  );
  return `# Written by acgs-lb edge at every start; edits are overwritten.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "cache", worker = .cache),
    # Gateways and instances are usually on private networks; cloud metadata services are blocked.
    (name = "internet", network = (
      allow = ["public", "private"],
      deny = ["169.254.0.0/16", "fe80::/10"],
      tlsOptions = (trustBrowserCas = true)
    )),
    (name = "objects", disk = (path = ${capnpString(objectsDir)}, writable = true)),
  ],
  sockets = [(name = "edge", address = ${capnpString(bind)}, service = "edge", ${socket})],
);

# Holds responses and snapshots for caches.default, in memory.
const cache :Workerd.Worker = (
  modules = [(name = "cache.js", esModule = embed "cache.js")],
  compatibilityDate = ${capnpString(compatibilityDate)},
);

const edge :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed "index.js")],
  compatibilityDate = ${capnpString(compatibilityDate)},
  compatibilityFlags = [${compatibilityFlags.map(capnpString).join(', ')}],
  cacheApiOutbound = "cache",
  # No KV: the Hub is on this disk. Without a snapshot, the edge sends requests to FALLBACK_ORIGIN.
  bindings = [
    ${[...bindings, ...variables].join(',\n    ')},
  ],
  durableObjectNamespaces = [
    ${namespaces.join(',\n    ')},
  ],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** A Cap'n Proto string. It accepts the escapes of JSON, except \u, which paths do not need. */
const capnpString = (value: string): string => JSON.stringify(value);
