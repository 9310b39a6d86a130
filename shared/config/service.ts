import { z } from 'zod';
import {
  cidr,
  duration,
  durationOrZero,
  headerName,
  id,
  origin,
  pathPrefix,
  percentage,
  positiveInt,
  statusRange,
} from './scalars.ts';

/** The sections a service shares with `defaults`. Every key is optional in the file; `BUILT_IN` has the last word. */

export const STRATEGIES = [
  'least_response_time',
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'consistent_hash',
  'random',
] as const;
export const FAILOVER_STRATEGIES = ['graceful', 'immediate', 'circuit_break', 'load_shed'] as const;

const health = z.strictObject({
  type: z.enum(['http', 'tcp']).optional().meta({ title: 'how an instance is probed' }),
  method: z.enum(['GET', 'HEAD', 'OPTIONS', 'POST']).optional().meta({ title: 'of the probe' }),
  path: z
    .string()
    .regex(/^\/[^\s#]*$/, 'a path that starts with "/"')
    .optional()
    .meta({ title: 'asked for, with its query' }),
  headers: z
    .record(headerName, z.string().regex(/^[^\r\n\0]*$/, 'text without line breaks'))
    .optional()
    .meta({ title: 'sent with the probe' }),
  interval: duration.optional().meta({ title: 'time between probes' }),
  fastInterval: duration.optional().meta({ title: 'time between probes while the state is undecided' }),
  timeout: duration.optional().meta({ title: 'when a probe counts as failed' }),
  rise: positiveInt.max(100).optional().meta({ title: 'passes in a row until it is up' }),
  fall: positiveInt.max(100).optional().meta({ title: 'failures in a row until it is down' }),
  expect: z
    .strictObject({
      status: z.array(statusRange).min(1).optional().meta({ title: 'what passes: 200, 2xx or 200-299' }),
      body: z.string().min(1).optional().meta({ title: 'text the answer must contain' }),
      json: z
        .strictObject({ path: z.string().min(1), equals: z.union([z.string(), z.number(), z.boolean()]) })
        .optional(),
    })
    .optional(),
  tls: z
    .strictObject({
      ca: z.string().optional().meta({ title: 'file of the authority to trust' }),
      cert: z.string().optional().meta({ title: 'file of the client certificate' }),
      key: z.string().optional().meta({ title: 'file of its key' }),
      serverName: z.string().optional().meta({ title: 'name to ask for and to verify' }),
      verify: z.boolean().optional().meta({ title: 'whether the certificate must be valid' }),
    })
    .optional(),
});

const breaker = z.strictObject({
  failureRate: percentage.optional().meta({ title: 'share of failed calls at which it opens' }),
  slowCallRate: percentage.optional().meta({ title: 'share of slow calls at which it opens' }),
  slowCall: duration
    .optional()
    .meta({ title: 'from when a call is slow; without it half of the timeout, at least 5s' }),
  window: duration.optional().meta({ title: 'time over which calls are counted' }),
  minimumCalls: positiveInt.optional().meta({ title: 'calls it takes to judge' }),
  openFor: duration.optional().meta({ title: 'how long it stays open at first' }),
  maxOpenFor: duration.optional().meta({ title: 'how long it stays open at most' }),
  halfOpenCalls: positiveInt.optional().meta({ title: 'calls admitted to try it again' }),
});

const failover = z.strictObject({
  strategy: z.enum(FAILOVER_STRATEGIES).optional().meta({ title: 'what follows a failed try' }),
  maxAttempts: positiveInt.max(6).optional().meta({ title: 'tries of one request' }),
  retryBudget: percentage.optional().meta({ title: 'retries as a share of the requests in flight' }),
  backoff: durationOrZero.optional().meta({ title: 'wait before a retry' }),
  hedge: z.boolean().optional().meta({ title: 'ask a second instance when the first is unusually slow' }),
  /** load_shed: the class a request belongs to, 0 (kept longest) to 9 (shed first). */
  class: z
    .int()
    .min(0)
    .max(9)
    .optional()
    .meta({ title: 'which requests go first when load is shed: 0 is kept longest' }),
  /** How old a cached answer may be to be served, marked stale, when nothing else answers. 0s: never. */
  staleIfError: durationOrZero
    .optional()
    .meta({ title: 'how old a cached answer may be when nothing else answers; 0s: never' }),
});

const affinity = z.strictObject({
  by: z
    .enum(['none', 'cookie', 'header', 'ip'])
    .optional()
    .meta({ title: 'what ties a client to an instance' }),
  header: headerName.optional().meta({ title: 'the header, with `by: header`' }),
  ttl: duration.optional().meta({ title: 'how long the tie holds' }),
});

const rateLimitKey = z.string().refine((key) => /^(ip|session|global|header:[A-Za-z0-9-]{1,64})$/.test(key), {
  error: 'ip, session, global or header:<name>',
});

export const rateLimit = z.strictObject({
  name: id.meta({ title: 'told to the client when it is refused' }),
  key: z
    .union([rateLimitKey, z.array(rateLimitKey).min(1).max(4)])
    .meta({ title: 'what is counted by, one or several' }),
  limit: positiveInt.max(1e9).meta({ title: 'requests in each window' }),
  window: duration.meta({ title: 'length of the window' }),
  burst: positiveInt
    .max(1e9)
    .optional()
    .meta({ title: 'how many at once; the limit is then a leaky bucket' }),
  cost: positiveInt.max(1e6).optional().meta({ title: 'what one request counts for; without it 1' }),
  scope: z
    .enum(['edge', 'global'])
    .default('edge')
    .meta({ title: 'where it is counted; global holds across all of Cloudflare' }),
  shadow: z.boolean().default(false).meta({ title: 'count, but refuse nobody' }),
  exempt: z.array(cidr).default([]).meta({ title: 'networks that are not counted' }),
  routes: z.array(pathPrefix).min(1).optional().meta({ title: 'only for these paths' }),
  /** Another limit for one value of the key, for example a partner's address or API key. */
  overrides: z
    .record(z.string(), positiveInt.max(1e9))
    .optional()
    .meta({ title: 'another limit for one value of the key' }),
  /** Name of a `[[ratelimits]]` binding to ask as well; windows of 10s and 60s only. */
  native: z
    .string()
    .regex(/^[A-Za-z_]\w{0,63}$/, 'the name of a binding: letters, digits and "_"')
    .optional()
    .meta({ title: 'a [[ratelimits]] binding to ask as well; windows of 10s and 60s only' }),
});

export const accessRule = z
  .strictObject({
    path: pathPrefix.meta({ title: 'what the rule is about' }),
    allow: z.array(cidr).min(1).optional().meta({ title: 'networks that may, and no others' }),
    deny: z.array(cidr).min(1).optional().meta({ title: 'networks that may not' }),
  })
  .refine((rule) => rule.allow || rule.deny, { error: 'an allow or a deny list' });

export const policySections = {
  path: z
    .enum(['gateway', 'direct'])
    .optional()
    .meta({ title: 'the way to an instance: through HAProxy, or straight to its publicUrl' }),
  strategy: z.enum(STRATEGIES).optional().meta({ title: 'how the edge chooses an instance' }),
  health: health.optional(),
  breaker: breaker.optional(),
  failover: failover.optional(),
  affinity: affinity.optional(),
  rateLimits: z.array(rateLimit).max(32).optional(),
  access: z.array(accessRule).max(128).optional(),
  /** How long a new or recovered instance stays on probation, its share growing. 0s: none. */
  slowStart: durationOrZero
    .optional()
    .meta({ title: 'how long a recovered instance is on probation, its share growing; 0s: none' }),
};

export const defaultsSection = z.strictObject(policySections);

export const instanceSection = z.strictObject({
  id,
  url: origin.meta({ title: 'where HAProxy and the probes reach it' }),
  publicUrl: origin.optional().meta({ title: 'where the edge reaches it directly' }),
  weight: z.int().min(1).max(256).default(100).meta({ title: 'its share among the others' }),
  priority: z.int().min(1).max(16).default(1).meta({ title: '2 and above are backups' }),
  maxconn: positiveInt.optional().meta({ title: 'connections to this instance at most' }),
  metadata: z
    .record(z.string(), z.string())
    .default({})
    .meta({ title: 'your own notes; passed on as they are' }),
});

export const serviceSection = z.strictObject({
  routes: z
    .array(pathPrefix)
    .min(1)
    .meta({ title: 'path prefixes, whole segments, longest first; / takes what is left' }),
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a host name'))
    .min(1)
    .optional()
    .meta({ title: 'only for these host names' }),
  timeout: duration.optional().meta({ title: 'one try, to the response headers' }),
  deadline: duration.optional().meta({ title: "the client's whole request; without it timeout + 10s" }),
  maxconn: positiveInt.optional().meta({ title: 'connections HAProxy opens to each instance' }),
  ...policySections,
  instances: z.array(instanceSection).default([]),
});

/** What holds where neither the service nor `defaults` says anything. */
export const BUILT_IN = {
  timeout: 30_000,
  maxconn: 100,
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
  failover: {
    strategy: 'graceful',
    maxAttempts: 3,
    retryBudget: 0.2,
    backoff: 25,
    hedge: false,
    class: 5,
    staleIfError: 300_000,
  },
  affinity: { by: 'cookie', ttl: 3_600_000 },
  slowStart: 30_000,
} as const;

/** 20 requests in 10 s of one client, as the guide has it. */
export const BUILT_IN_RATE_LIMITS: z.output<typeof rateLimit>[] = [
  { name: 'per-ip', key: 'ip', limit: 20, window: 10_000, scope: 'edge', shadow: false, exempt: [] },
];

export const BUILT_IN_ACCESS: z.output<typeof accessRule>[] = [
  { path: '/admin', allow: ['10.0.0.0/8', '192.168.0.0/16', '127.0.0.0/8'] },
];
