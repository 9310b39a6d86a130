import { z } from 'zod';
import { bindAddress, duration, id, positiveInt, rate } from './scalars.ts';

/** Defaults of `haproxy.file`. HAProxy loads a folder in alphabetical order, so our file comes last. */
export const DEFAULT_FILES = {
  whole: '/etc/haproxy/haproxy.cfg',
  beside: '/etc/haproxy/haproxy.d/90-acgs-lb.cfg',
} as const;

/** 97 characters: the kernel's limit less the suffix that HAProxy appends while it binds. */
const socketPath = z.string().max(97).regex(/^\//, 'an absolute path of at most 97 characters');

const absolutePath = z.string().regex(/^\//, 'an absolute path');

/** Lines of HAProxy's own language. */
const snippet = z
  .string()
  .max(262_144)
  .regex(/^[\P{Cc}\t\n\r]*$/u, "lines of HAProxy's configuration, without control characters");

const extraSection = z.strictObject({
  global: snippet.optional().meta({ title: "Lines for the section `global`, after acgs-lb's own" }),
  defaults: snippet.optional().meta({ title: "Lines for the section `defaults`, after acgs-lb's own" }),
  frontend: snippet
    .optional()
    .meta({ title: "Lines for the gateway's frontend, before it chooses the backend by route" }),
  services: z
    .record(id, snippet)
    .default({})
    .meta({ title: "Lines for the backend of one service, before its servers; the key is the service's id" }),
  other: snippet.optional().meta({ title: 'Whole sections at the end of the file' }),
});

/** The `haproxy` section. Defaults are the values of the guide. */
export const haproxySection = z.strictObject({
  mode: z.enum(['whole', 'beside']).default('whole').meta({
    title:
      "whole: the agent writes HAProxy's whole configuration; beside: it writes a file that HAProxy loads after your mainFile",
  }),
  /** Only algorithms that accept weights and servers at run time. */
  balance: z.enum(['roundrobin', 'leastconn', 'source', 'uri', 'random']).optional().meta({
    title: "Algorithm for requests that name no instance; default: the one of the service's strategy",
  }),
  maxconn: positiveInt
    .max(1_000_000)
    .default(4096)
    .meta({ title: 'Maximum client connections of the process' }),
  threads: positiveInt.max(64).default(4).meta({ title: 'Threads of the process' }),
  maxHeaderBytes: z
    .int()
    .min(4096)
    .max(131_072)
    .default(16_384)
    .meta({ title: 'Maximum bytes of the header fields of a request or response' }),
  timeouts: z
    .strictObject({
      connect: duration.default(2_000).meta({ title: 'Time to connect to an instance' }),
      client: duration.default(60_000).meta({ title: 'Inactivity on the client side' }),
      queue: duration.default(5_000).meta({ title: 'Time a request waits for a free connection' }),
      check: duration.default(3_000).meta({ title: 'Time limit of a health check' }),
      request: duration.default(10_000).meta({
        title: 'Time for a client to send the request headers, and then the body or its first 16 KiB',
      }),
      keepAlive: duration.default(60_000).meta({ title: 'Idle time between two requests of a connection' }),
      tunnel: duration.default(3_600_000).meta({ title: 'Inactivity on a WebSocket' }),
    })
    .prefault({}),
  bind: z
    .array(bindAddress)
    .min(1)
    .max(64)
    .default(['127.0.0.1:8090'])
    .meta({ title: 'Addresses of the gateway' }),
  stats: bindAddress
    .default('127.0.0.1:8080')
    .meta({ title: 'Address that serves /stats, /metrics and /health' }),
  socket: socketPath.default('/run/haproxy/admin.sock').meta({ title: 'Admin socket' }),
  masterSocket: socketPath
    .default('/run/haproxy-master.sock')
    .meta({ title: "Socket of HAProxy's master process; the agent reloads HAProxy through it" }),
  file: absolutePath.optional().meta({
    title: `Where the agent writes its configuration; default: ${DEFAULT_FILES.whole}, with mode: beside ${DEFAULT_FILES.beside}`,
  }),
  mainFile: absolutePath.default('/etc/haproxy/haproxy.cfg').meta({
    title: 'With mode: beside, your own configuration: the file or folder that HAProxy is started with',
  }),
  extra: extraSection.prefault({}),
  rateLimit: z
    .union([z.literal('off').transform(() => null), rate])
    .prefault('off')
    .meta({ title: 'Limit per client for requests without a valid edge token; off disables it' }),
  requireEdge: z.boolean().default(false).meta({ title: 'Reject requests that carry no valid edge token' }),
  affinity: z
    .boolean()
    .default(true)
    .meta({ title: 'Keep a session on one instance by a stick table when the request names no instance' }),
  tls: z
    .strictObject({
      crt: z.string().min(1).meta({ title: 'Certificate and key: one PEM file, or a folder of them' }),
      bind: z
        .array(bindAddress)
        .min(1)
        .max(64)
        .default(['*:443'])
        .meta({ title: 'Addresses that serve TLS' }),
      redirect: z.boolean().default(true).meta({ title: 'Redirect plain HTTP requests to HTTPS' }),
      http2: z.boolean().default(true).meta({ title: 'Offer HTTP/2' }),
    })
    .optional(),
  name: id.optional().meta({ title: 'Name of this HAProxy among its peers; default: the host name' }),
  peers: z
    .array(
      z.strictObject({
        name: id.meta({ title: 'Name of the peer' }),
        address: bindAddress.meta({ title: 'Address of its peers port' }),
      }),
    )
    .default([])
    .meta({ title: 'HAProxies that share their stick tables' }),
  others: z
    .array(
      z.strictObject({
        name: id.meta({ title: 'Name of this HAProxy in logs and metrics' }),
        socket: z.string().min(1).meta({ title: 'Its admin socket: a path or host:port' }),
      }),
    )
    .default([])
    .meta({ title: 'Other HAProxies of the site that this agent controls' }),
  agentCheck: bindAddress
    .default('127.0.0.1:9401')
    .meta({ title: "Address where the agent answers HAProxy's agent-checks" }),
  log: z
    .string()
    .min(1)
    .default('/dev/log')
    .meta({ title: 'Where HAProxy sends its log: a syslog socket, host:port, or stdout (in a container)' }),
});
