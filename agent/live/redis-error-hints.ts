import { tlsErrorHint } from '../lib/store-tls.ts';

/** The error of the cluster node, which the cluster client puts beside its own general one. */
export function clusterNodeError(error: Error): Error {
  return 'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : error;
}

export const CLUSTER_NODE_HINT = 'this Redis is a cluster node: use redis+cluster:// in REDIS_URL';

/** Checked before the TLS errors, whose patterns are broader. */
const HINTS: readonly [RegExp, string][] = [
  [/WRONGPASS|NOAUTH|invalid password|without any password/, 'correct the user or password in REDIS_URL'],
  [
    /NOPERM/,
    'grant the user of REDIS_URL these rights: ~lb:* ~governance_session:* &lb:events:* +@all -@dangerous +info',
  ],
  [/sentinel/i, 'check the hosts and the name of the master in REDIS_URL'],
];

const HINTS_AFTER_TLS: readonly [RegExp, string][] = [
  [/cluster support disabled/i, 'this Redis is not a cluster: use redis:// in REDIS_URL'],
  [/^MOVED/, CLUSTER_NODE_HINT],
  [/CLUSTERDOWN/, 'the cluster has lost nodes: run redis-cli --cluster check'],
  [/OOM|MISCONF/, 'Redis refuses writes: check its memory and its disk'],
  [
    /ECONNRESET|EPIPE|Connection is closed/,
    'Redis closes the connection: a TLS port requires rediss://, and possibly a client certificate (cert= and key= in REDIS_URL)',
  ],
  [
    /timed? ?out/i,
    'no response: check the Redis host and its port; with rediss://, the port may not support TLS',
  ],
];

/** What to do about an error of Redis. */
export function redisErrorHint(error: Error): string {
  const matching = (hints: typeof HINTS) => hints.find(([pattern]) => pattern.test(error.message))?.[1];
  return (
    matching(HINTS) ??
    tlsErrorHint(error, 'REDIS_URL', 'cacert', 'cert= and key=') ??
    matching(HINTS_AFTER_TLS) ??
    'start Redis, or correct the address in REDIS_URL (rediss:// for TLS)'
  );
}
