import { z } from 'zod';
import { DEFAULT_IDLE_MS } from '../long-lived.ts';
import { discoverySection } from './discovery.ts';
import {
  age,
  ageOrZero,
  cidr,
  duration,
  durationOrZero,
  fieldValue,
  headerName,
  id,
  origin,
  pathPrefix,
  percentage,
  positiveInt,
  rulePath,
  statusRange,
} from './scalars.ts';

/**
 * The sections of a service; most may also stand in `defaults`. A key that is in neither has its value from `BUILT_IN`. The
 * titles are what editors show and what docs/configuration-reference.md is generated from.
 */

export const STRATEGIES = [
  'least_response_time',
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'consistent_hash',
  'random',
] as const;
export const PROTOCOLS = ['http1', 'http2'] as const;
export const FAILOVER_STRATEGIES = ['graceful', 'immediate', 'circuit_break', 'load_shed'] as const;

const health = z.strictObject({
  type: z.enum(['http', 'tcp', 'grpc']).optional().meta({
    title:
      'Probe type; tcp only opens a connection, grpc calls grpc.health.v1.Health/Check and requires protocol: http2',
  }),
  method: z
    .enum(['GET', 'HEAD', 'OPTIONS', 'POST'])
    .optional()
    .meta({ title: 'Method of the probe request' }),
  path: z
    .string()
    .regex(
      /^\/[!"$-~]*$/,
      'a path that starts with "/", of printable ASCII characters without blanks and "#"',
    )
    .optional()
    .meta({ title: 'Path of the probe request, with its query' }),
  headers: z.record(headerName, fieldValue).optional().meta({ title: 'Header fields of the probe request' }),
  interval: duration.optional().meta({ title: 'Time between two probes' }),
  fastInterval: duration.optional().meta({
    title: 'Time between two probes while health is undecided, and in the minute after an instance went down',
  }),
  timeout: duration.optional().meta({ title: 'Time after which a probe has failed' }),
  rise: positiveInt.max(100).optional().meta({ title: 'Consecutive passed probes that turn an instance up' }),
  fall: positiveInt
    .max(100)
    .optional()
    .meta({ title: 'Consecutive failed probes that turn an instance down' }),
  expect: z
    .strictObject({
      status: z
        .array(statusRange)
        .min(1)
        .optional()
        .meta({ title: 'Status codes that pass: 200, 2xx or 200-299' }),
      body: z.string().min(1).optional().meta({ title: 'Text that the response body must contain' }),
      json: z
        .strictObject({
          path: z.string().min(1).meta({ title: 'Path in the JSON body, such as status or checks.db.ok' }),
          equals: z.union([z.string(), z.number(), z.boolean()]).meta({ title: 'Value the path must have' }),
        })
        .optional(),
    })
    .optional(),
  tls: z
    .strictObject({
      ca: z.string().optional().meta({ title: 'File with the CA certificate to trust' }),
      cert: z.string().optional().meta({ title: 'File with the client certificate; requires key' }),
      key: z
        .string()
        .optional()
        .meta({ title: 'File with the key of the client certificate; requires cert' }),
      serverName: z.string().optional().meta({ title: 'Server name for SNI and certificate verification' }),
      verify: z
        .boolean()
        .optional()
        .meta({ title: 'Whether the probe verifies the certificate; default: true' }),
    })
    .optional(),
});

const breaker = z.strictObject({
  failureRate: percentage.optional().meta({ title: 'Share of failed calls that opens the breaker' }),
  slowCallRate: percentage
    .optional()
    .meta({ title: 'Share of slow calls, among calls with a known duration, that opens the breaker' }),
  slowCall: duration
    .optional()
    .meta({ title: 'Duration that makes a call slow; default: half of timeout, at least 5s' }),
  window: duration.optional().meta({ title: 'Sliding time window that the rates are computed over' }),
  minimumCalls: positiveInt
    .optional()
    .meta({ title: 'Calls the window must hold before the breaker can open' }),
  openFor: duration
    .optional()
    .meta({ title: 'How long the breaker stays open; doubles each time a half-open phase fails' }),
  maxOpenFor: duration.optional().meta({ title: 'Upper bound of the doubled open time' }),
  halfOpenCalls: positiveInt.optional().meta({
    title:
      'Finished calls that end the half-open phase, at most minimumCalls; it does not limit how many calls are sent',
  }),
});

const outlier = z.union([
  z.literal('off'),
  z.strictObject({
    slowRatio: z
      .number()
      .min(1.5)
      .max(100)
      .optional()
      .meta({ title: "Slow: this many times the peers' latency, and at least slowBy above it" }),
    slowBy: duration.optional().meta({ title: "Slow: at least this much above the peers' latency" }),
    failureRate: percentage
      .optional()
      .meta({ title: "Failing: at least this share of failed calls, and five times the peers' share" }),
    minShare: percentage
      .optional()
      .meta({ title: 'Share of its traffic that an outlier keeps, so that it can prove its recovery' }),
  }),
]);

const failover = z.strictObject({
  strategy: z
    .enum(FAILOVER_STRATEGIES)
    .optional()
    .meta({ title: 'What the edge does after a failed attempt' }),
  maxAttempts: positiveInt.max(6).optional().meta({ title: 'Attempts per request, the first one included' }),
  retryBudget: percentage.optional().meta({
    title:
      'Retries that each request earns: 20% allows one retry for every five requests of the last 10s; 10 retries a second are always allowed',
  }),
  backoff: durationOrZero.optional().meta({
    title: 'Base wait before a retry, doubled for each further one, up to 1s; used by graceful only',
  }),
  hedge: z.boolean().optional().meta({
    title:
      "Send a copy of a GET, HEAD, OPTIONS or TRACE to another instance when there is no response after twice the service's 95th percentile, at least 50ms; at most 5% of requests",
  }),
  class: z
    .int()
    .min(0)
    .max(9)
    .optional()
    .meta({ title: 'Priority class: under overload 9 is rejected first, 0 last' }),
  staleIfError: ageOrZero.optional().meta({
    title: 'Maximum age of a cached response that is served when no instance responds; 0s disables it',
  }),
});

const affinity = z.strictObject({
  by: z
    .enum(['none', 'cookie', 'header', 'ip'])
    .optional()
    .meta({ title: 'What identifies a client to keep it on one instance' }),
  header: headerName
    .optional()
    .meta({ title: 'Header field that identifies the client; required with by: header' }),
  ttl: age.optional().meta({ title: 'Lifetime of the affinity' }),
});

const longLived = z.strictObject({
  maxconn: positiveInt.max(1_000_000).optional().meta({
    title:
      'Maximum long-lived connections of HAProxy to each instance: WebSockets, event streams, and the paths below',
  }),
  idle: duration.optional().meta({
    title:
      'Longest silence before or within an event stream or an answer of one of the paths; for WebSockets it is haproxy.timeouts.tunnel',
  }),
  paths: z
    .array(pathPrefix)
    .max(100)
    .optional()
    .meta({ title: 'Path prefixes whose answers are held on purpose, such as long polls' }),
});

const rateLimitKey = z.string().refine((key) => /^(ip|session|global|header:[A-Za-z0-9-]{1,64})$/.test(key), {
  error: 'ip, session, global or header:<name>',
});

export const rateLimit = z.strictObject({
  name: id.meta({ title: 'Name of the limit in responses, metrics and reports' }),
  key: z
    .union([rateLimitKey, z.array(rateLimitKey).min(1).max(4)])
    .meta({ title: 'What requests are counted by; a list combines several keys' }),
  limit: positiveInt.max(1e9).meta({ title: 'Units allowed in each window; one request costs cost units' }),
  window: age.meta({ title: 'Length of the window' }),
  burst: positiveInt
    .max(1e9)
    .optional()
    .meta({ title: 'Units allowed at once; the limit then becomes a leaky bucket (GCRA)' }),
  cost: positiveInt.max(1e6).optional().meta({ title: 'Units that one request costs; default: 1' }),
  scope: z
    .enum(['edge', 'global'])
    .default('edge')
    .meta({ title: 'Where units are counted: edge is per isolate, global is across all of Cloudflare' }),
  shadow: z.boolean().default(false).meta({ title: 'Count and report, but never reject' }),
  exempt: z.array(cidr).default([]).meta({ title: 'Networks that the limit does not apply to' }),
  routes: z.array(rulePath).min(1).optional().meta({ title: 'Apply the limit only to these path prefixes' }),
  overrides: z
    .record(z.string(), positiveInt.max(1e9))
    .optional()
    .meta({ title: "A different limit for one value of the key, such as a partner's address" }),
});

const accessRule = z
  .strictObject({
    path: rulePath.meta({ title: 'Path prefix that the rule applies to' }),
    allow: z.array(cidr).min(1).optional().meta({ title: 'Only these networks have access' }),
    deny: z.array(cidr).min(1).optional().meta({ title: 'These networks have no access' }),
  })
  .refine((rule) => rule.allow || rule.deny, { error: 'an "allow" list, a "deny" list, or both' });

const policySections = {
  path: z
    .enum(['gateway', 'direct'])
    .optional()
    .meta({ title: 'How the edge reaches an instance: through HAProxy, or directly at its publicUrl' }),
  strategy: z
    .enum(STRATEGIES)
    .optional()
    .meta({ title: 'How HAProxy and the edge pick an instance for a request without a session' }),
  health: health.optional(),
  breaker: breaker.optional(),
  outlier: outlier.optional().meta({
    title: 'Instances that do worse than their peers get less traffic; off disables the comparison',
  }),
  failover: failover.optional(),
  affinity: affinity.optional(),
  longLived: longLived.optional().meta({
    title: 'Connections that stay open for long: HAProxy counts and limits them apart from ordinary requests',
  }),
  rateLimits: z.array(rateLimit).max(32).optional(),
  access: z.array(accessRule).max(128).optional(),
  slowStart: durationOrZero.optional().meta({
    title:
      'How long a new or recovered instance stays on probation while its traffic share grows; 0s disables it',
  }),
};

export const defaultsSection = z.strictObject(policySections);

const instanceSection = z.strictObject({
  id: id.meta({ title: 'Name of the instance, unique in the file' }),
  url: origin.meta({ title: 'Where HAProxy and the probes reach the instance' }),
  publicUrl: origin.optional().meta({ title: 'Where the edge reaches the instance with path: direct' }),
  weight: z.int().min(1).max(256).default(100).meta({ title: 'Relative share of traffic' }),
  priority: z
    .int()
    .min(1)
    .max(16)
    .default(1)
    .meta({ title: 'Priority level; instances with 2 and above are backups' }),
  maxconn: positiveInt
    .max(1_000_000)
    .optional()
    .meta({ title: "Maximum HAProxy connections to this instance; default: the service's maxconn" }),
  metadata: z
    .record(z.string(), z.string())
    .default({})
    .meta({ title: 'Free-form labels; the agent returns them unchanged in its API' }),
});

export const serviceSection = z.strictObject({
  routes: z
    .array(pathPrefix)
    .min(1)
    .max(1_000)
    .meta({ title: 'Path prefixes, matched at segment boundaries, longest first; / matches every path' }),
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a host name'))
    .min(1)
    .max(1_000)
    .optional()
    .meta({ title: 'Match only these host names; default: any' }),
  timeout: duration.optional().meta({ title: 'Time limit of one attempt, until the response headers' }),
  deadline: duration
    .optional()
    .meta({ title: 'Time limit of the whole client request, all attempts included; default: timeout + 10s' }),
  maxconn: positiveInt
    .max(1_000_000)
    .optional()
    .meta({ title: 'Maximum HAProxy connections to each instance' }),
  protocol: z.enum(PROTOCOLS).optional().meta({
    title:
      'Protocol between HAProxy and the instances; gRPC needs http2, which is with TLS at an https url and without (h2c) at an http url',
  }),
  ...policySections,
  instances: z
    .array(instanceSection)
    .default([])
    .meta({ title: 'Instances of the service; more can be registered through the API' }),
  instancesFrom: discoverySection
    .optional()
    .meta({ title: 'A source that lists instances while the agent runs, in addition to instances' }),
});

/** Values for keys that neither the service nor `defaults` sets. `deadline` and `breaker.slowCall` derive from `timeout`. */
export const BUILT_IN = {
  timeout: 30_000,
  maxconn: 100,
  protocol: 'http1',
  path: 'gateway',
  strategy: 'least_response_time',
  health: {
    type: 'http',
    method: 'GET',
    path: '/health',
    headers: {} as Record<string, string>,
    interval: 10_000,
    fastInterval: 1_000,
    timeout: 3_000,
    rise: 2,
    fall: 3,
    expect: { status: [[200, 200]] as [number, number][] },
  },
  breaker: {
    failureRate: 0.5,
    slowCallRate: 1,
    window: 30_000,
    minimumCalls: 20,
    openFor: 30_000,
    maxOpenFor: 300_000,
    halfOpenCalls: 5,
  },
  outlier: {
    slowRatio: 4,
    slowBy: 100,
    failureRate: 0.05,
    minShare: 0.05,
  },
  failover: {
    strategy: 'graceful',
    maxAttempts: 3,
    retryBudget: 0.2,
    backoff: 25,
    hedge: true,
    class: 5,
    staleIfError: 300_000,
  },
  affinity: { by: 'cookie', ttl: 3_600_000 },
  longLived: { maxconn: 1_000, idle: DEFAULT_IDLE_MS, paths: [] as string[] },
  slowStart: 30_000,
} as const;

export const BUILT_IN_ACCESS: z.output<typeof accessRule>[] = [
  { path: '/admin', allow: ['10.0.0.0/8', '192.168.0.0/16', '127.0.0.0/8'] },
];
