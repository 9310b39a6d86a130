import { z } from 'zod';
import { bindAddress, duration, id, positiveInt, rate } from './scalars.ts';

/** The `haproxy:` section: the guide's settings, each with the guide's value as its default. */
export const haproxySection = z.strictObject({
  /** Only algorithms that accept weights and servers at run time. */
  balance: z
    .enum(['roundrobin', 'leastconn', 'source', 'uri', 'random'])
    .default('roundrobin')
    .meta({ title: 'for requests without a target' }),
  maxconn: positiveInt.max(1_000_000).default(4096).meta({ title: 'connections in all' }),
  threads: positiveInt.max(64).default(4).meta({ title: 'threads of the process' }),
  timeouts: z
    .strictObject({
      connect: duration.default(2_000).meta({ title: 'to an instance' }),
      client: duration.default(60_000).meta({ title: 'of silence from the client' }),
      queue: duration.default(5_000).meta({ title: 'in wait for a free connection' }),
      check: duration.default(3_000).meta({ title: 'of a check' }),
      request: duration.default(10_000).meta({ title: 'until the request headers are complete' }),
      keepAlive: duration.default(60_000).meta({ title: 'between two requests' }),
      tunnel: duration.default(3_600_000).meta({ title: 'of silence on a WebSocket' }),
    })
    .prefault({}),
  bind: z.array(bindAddress).min(1).default(['127.0.0.1:8090']).meta({ title: 'the gateway' }),
  stats: bindAddress.default('127.0.0.1:8080').meta({ title: '/stats, /metrics and /health' }),
  /** The admin socket; at most 97 characters (the kernel's limit, less what HAProxy appends). */
  socket: z
    .string()
    .max(97)
    .regex(/^\//, 'an absolute path of at most 97 characters')
    .default('/run/haproxy/admin.sock')
    .meta({ title: 'the admin socket, at most 97 characters' }),
  /** The master's socket, through which a reload is asked for. */
  masterSocket: z
    .string()
    .max(97)
    .regex(/^\//, 'an absolute path of at most 97 characters')
    .default('/run/haproxy-master.sock')
    .meta({ title: 'the socket of the master, through which a reload is asked for; at most 97 characters' }),
  /** Where the generated configuration is written. */
  file: z
    .string()
    .regex(/^\//, 'an absolute path')
    .default('/etc/haproxy/haproxy.cfg')
    .meta({ title: 'where the generated configuration is written' }),
  rateLimit: z
    .union([z.literal('off').transform(() => null), rate])
    .default({ limit: 20, windowMs: 10_000 })
    .meta({ title: 'per true client' }),
  /** Refuse requests that carry no valid edge token. */
  requireEdge: z.boolean().default(false).meta({ title: 'refuse what carries no valid edge token' }),
  affinity: z
    .boolean()
    .default(true)
    .meta({ title: 'tie clients that come without the edge by a stick table' }),
  tls: z
    .strictObject({
      crt: z.string().min(1).meta({ title: 'certificate and key, one PEM file or a folder' }),
      bind: z.array(bindAddress).min(1).default(['*:443']).meta({ title: 'where TLS is served' }),
      redirect: z.boolean().default(true).meta({ title: 'send plain requests to https' }),
      http2: z.boolean().default(true).meta({ title: 'offer HTTP/2' }),
    })
    .optional(),
  /** This HAProxy's own name among `peers`; absent: the host's name, as HAProxy itself assumes. */
  name: id.optional().meta({ title: "its own name among the peers; without it the host's name" }),
  peers: z
    .array(z.strictObject({ name: id, address: bindAddress }))
    .default([])
    .meta({ title: 'HAProxies that share their tables' }),
  /** Another HAProxy of the site that this agent steers too: its admin socket, path or host:port. */
  others: z
    .array(z.strictObject({ name: id, socket: z.string().min(1) }))
    .default([])
    .meta({ title: 'other HAProxies that this agent steers too' }),
  /** Where the agent answers HAProxy's agent-checks. */
  agentCheck: bindAddress
    .default('127.0.0.1:9401')
    .meta({ title: "where the agent answers HAProxy's agent-checks" }),
  /** Where HAProxy sends its log: a syslog socket path, host:port, or stdout (in a container). */
  log: z.string().min(1).default('/dev/log').meta({ title: 'a syslog socket, host:port or stdout' }),
});
