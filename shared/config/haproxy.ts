import { z } from 'zod';
import { bindAddress, duration, id, positiveInt, rate } from './scalars.ts';

/** The `haproxy:` section: the guide's settings, each with the guide's value as its default. */
export const haproxySection = z.strictObject({
  /** Only algorithms that accept weights and servers at run time. */
  balance: z.enum(['roundrobin', 'leastconn', 'source', 'uri', 'random']).default('roundrobin'),
  maxconn: positiveInt.max(1_000_000).default(4096),
  threads: positiveInt.max(64).default(4),
  timeouts: z
    .strictObject({
      connect: duration.default(2_000),
      client: duration.default(60_000),
      queue: duration.default(5_000),
      check: duration.default(3_000),
      request: duration.default(10_000),
      keepAlive: duration.default(60_000),
      tunnel: duration.default(3_600_000),
    })
    .prefault({}),
  bind: z.array(bindAddress).min(1).default(['127.0.0.1:8090']),
  stats: bindAddress.default('127.0.0.1:8080'),
  /** The admin socket; at most 97 characters (the kernel's limit, less what HAProxy appends). */
  socket: z
    .string()
    .max(97)
    .regex(/^\//, 'an absolute path of at most 97 characters')
    .default('/run/haproxy/admin.sock'),
  /** The master's socket, through which a reload is asked for. */
  masterSocket: z
    .string()
    .max(97)
    .regex(/^\//, 'an absolute path of at most 97 characters')
    .default('/run/haproxy-master.sock'),
  /** Where the generated configuration is written. */
  file: z.string().regex(/^\//, 'an absolute path').default('/etc/haproxy/haproxy.cfg'),
  rateLimit: z.union([z.literal('off').transform(() => null), rate]).default({ limit: 20, windowMs: 10_000 }),
  /** Refuse requests that carry no valid edge token. */
  requireEdge: z.boolean().default(false),
  affinity: z.boolean().default(true),
  tls: z
    .strictObject({
      crt: z.string().min(1),
      bind: z.array(bindAddress).min(1).default(['*:443']),
      redirect: z.boolean().default(true),
      http2: z.boolean().default(true),
    })
    .optional(),
  /** This HAProxy's own name among `peers`; absent: the host's name, as HAProxy itself assumes. */
  name: id.optional(),
  peers: z.array(z.strictObject({ name: id, address: bindAddress })).default([]),
  /** Another HAProxy of the site that this agent steers too: its admin socket, path or host:port. */
  others: z.array(z.strictObject({ name: id, socket: z.string().min(1) })).default([]),
  /** Where the agent answers HAProxy's agent-checks. */
  agentCheck: bindAddress.default('127.0.0.1:9401'),
  /** Where HAProxy sends its log: a syslog socket path or host:port. */
  log: z.string().min(1).default('/dev/log'),
});
