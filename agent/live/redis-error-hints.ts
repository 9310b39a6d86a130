import { tlsErrorHint } from '../lib/store-tls.ts';

/** A cluster's client says "failed" and keeps the reason beside it. */
export function clusterNodeError(error: Error): Error {
  return 'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : error;
}

export const CLUSTER_NODE_HINT = 'this Redis is a node of a cluster: write redis+cluster:// in REDIS_URL';

/** What to do about an error of Redis. */
export function redisErrorHint(error: Error): string {
  const { message } = error;
  if (/WRONGPASS|NOAUTH|invalid password|without any password/.test(message)) {
    return 'user or password in REDIS_URL is not what Redis wants';
  }
  if (/NOPERM/.test(message)) {
    return 'give the user of REDIS_URL these rights: ~lb:* ~governance_session:* &lb:events +@all -@dangerous +info';
  }
  if (/sentinel/i.test(message)) return 'look at the hosts and the name of the master in REDIS_URL';
  const tls = tlsErrorHint(error, 'REDIS_URL', 'cacert', 'cert= and key=');
  if (tls) return tls;
  if (/cluster support disabled/i.test(message))
    return 'this Redis is no cluster: write redis:// in REDIS_URL';
  if (/^MOVED/.test(message)) return CLUSTER_NODE_HINT;
  if (/CLUSTERDOWN/.test(message))
    return 'the cluster has lost a part of its nodes: redis-cli --cluster check';
  if (/OOM|MISCONF/.test(message)) return 'Redis takes no writes: look at its memory and its disk';
  if (/ECONNRESET|EPIPE|Connection is closed/.test(message)) {
    return 'it hangs up: a TLS port wants rediss://, and perhaps a client certificate (cert= and key= in REDIS_URL)';
  }
  if (/timed? ?out/i.test(message)) {
    return 'nothing answers there: look at the Redis host, and at its port, which may speak no TLS';
  }
  return 'start Redis, or set REDIS_URL to where it listens (rediss:// for TLS)';
}
