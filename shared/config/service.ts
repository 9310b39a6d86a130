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
  type: z.enum(['http', 'tcp']).optional(),
  method: z.enum(['GET', 'HEAD', 'OPTIONS', 'POST']).optional(),
  path: z
    .string()
    .regex(/^\/[^\s#]*$/, 'a path that starts with "/"')
    .optional(),
  headers: z.record(headerName, z.string().regex(/^[^\r\n\0]*$/, 'text without line breaks')).optional(),
  interval: duration.optional(),
  fastInterval: duration.optional(),
  timeout: duration.optional(),
  rise: positiveInt.max(100).optional(),
  fall: positiveInt.max(100).optional(),
  expect: z
    .strictObject({
      status: z.array(statusRange).min(1).optional(),
      body: z.string().min(1).optional(),
      json: z
        .strictObject({ path: z.string().min(1), equals: z.union([z.string(), z.number(), z.boolean()]) })
        .optional(),
    })
    .optional(),
  tls: z
    .strictObject({
      ca: z.string().optional(),
      cert: z.string().optional(),
      key: z.string().optional(),
      serverName: z.string().optional(),
      verify: z.boolean().optional(),
    })
    .optional(),
});

const breaker = z.strictObject({
  failureRate: percentage.optional(),
  slowCallRate: percentage.optional(),
  slowCall: duration.optional(),
  window: duration.optional(),
  minimumCalls: positiveInt.optional(),
  openFor: duration.optional(),
  maxOpenFor: duration.optional(),
  halfOpenCalls: positiveInt.optional(),
});

const failover = z.strictObject({
  strategy: z.enum(FAILOVER_STRATEGIES).optional(),
  maxAttempts: positiveInt.max(6).optional(),
  retryBudget: percentage.optional(),
  backoff: durationOrZero.optional(),
  hedge: z.boolean().optional(),
  /** load_shed: the class a request belongs to, 0 (kept longest) to 9 (shed first). */
  class: z.int().min(0).max(9).optional(),
  /** How old a cached answer may be to be served, marked stale, when nothing else answers. 0s: never. */
  staleIfError: durationOrZero.optional(),
});

const affinity = z.strictObject({
  by: z.enum(['none', 'cookie', 'header', 'ip']).optional(),
  header: headerName.optional(),
  ttl: duration.optional(),
});

const rateLimitKey = z.string().refine((key) => /^(ip|session|global|header:[A-Za-z0-9-]{1,64})$/.test(key), {
  error: 'ip, session, global or header:<name>',
});

export const rateLimit = z.strictObject({
  name: id,
  key: z.union([rateLimitKey, z.array(rateLimitKey).min(1).max(4)]),
  limit: positiveInt.max(1e9),
  window: duration,
  burst: positiveInt.max(1e9).optional(),
  cost: positiveInt.max(1e6).optional(),
  scope: z.enum(['edge', 'global']).default('edge'),
  shadow: z.boolean().default(false),
  exempt: z.array(cidr).default([]),
  routes: z.array(pathPrefix).min(1).optional(),
  /** Another limit for one value of the key, for example a partner's address or API key. */
  overrides: z.record(z.string(), positiveInt.max(1e9)).optional(),
  /** Name of a `[[ratelimits]]` binding to ask first; windows of 10s and 60s only. */
  native: z.string().optional(),
});

export const accessRule = z
  .strictObject({
    path: pathPrefix,
    allow: z.array(cidr).min(1).optional(),
    deny: z.array(cidr).min(1).optional(),
  })
  .refine((rule) => rule.allow || rule.deny, { error: 'an allow or a deny list' });

export const policySections = {
  path: z.enum(['gateway', 'direct']).optional(),
  strategy: z.enum(STRATEGIES).optional(),
  health: health.optional(),
  breaker: breaker.optional(),
  failover: failover.optional(),
  affinity: affinity.optional(),
  rateLimits: z.array(rateLimit).max(32).optional(),
  access: z.array(accessRule).max(128).optional(),
  /** How long a new or recovered instance stays on probation, its share growing. 0s: none. */
  slowStart: durationOrZero.optional(),
};

export const defaultsSection = z.strictObject(policySections);

export const instanceSection = z.strictObject({
  id,
  url: origin,
  publicUrl: origin.optional(),
  weight: z.int().min(1).max(256).default(100),
  priority: z.int().min(1).max(16).default(1),
  maxconn: positiveInt.optional(),
  metadata: z.record(z.string(), z.string()).default({}),
});

export const serviceSection = z.strictObject({
  routes: z.array(pathPrefix).min(1),
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a host name'))
    .min(1)
    .optional(),
  timeout: duration.optional(),
  deadline: duration.optional(),
  maxconn: positiveInt.optional(),
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
