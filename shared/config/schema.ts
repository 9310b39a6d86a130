import { z } from 'zod';
import { alertsSection } from './alerts.ts';
import { haproxySection } from './haproxy.ts';
import { headersSection } from './headers.ts';
import { monitorSection } from './monitor.ts';
import { age, bindAddress, cidr, duration, httpUrl, id, origin, positiveInt } from './scalars.ts';
import { defaultsSection, rateLimit, serviceSection } from './service.ts';
import { telemetrySection } from './telemetry.ts';

/** Each agent of a site controls and probes everything, so more agents cost more than they add. */
const MAX_AGENTS = 9;

/** The schema of acgs-lb.yaml. `crossCheck` holds the rules that compare values with each other. */
export const fileSchema = z.strictObject({
  version: z.literal(1).meta({ title: 'Version of the file format' }),
  site: z.strictObject({
    id: id.meta({ title: 'Name of the site; the snapshot is stored under it' }),
    gateways: z
      .array(origin)
      .min(1)
      .default(['http://127.0.0.1:8090'])
      .meta({ title: 'Where the edge reaches the HAProxies of the site' }),
    agents: z
      .int()
      .min(1)
      .max(MAX_AGENTS)
      .default(1)
      .meta({ title: 'Number of agents at the site; one of them leads' }),
    weight: z
      .int()
      .min(1)
      .max(1000)
      .default(100)
      .meta({ title: 'Relative share of traffic among sites that serve the same service' }),
    near: z
      .array(z.string().min(2).max(8))
      .default([])
      .meta({ title: 'Cloudflare colo or country codes whose clients prefer this site' }),
  }),
  agent: z
    .strictObject({
      bind: bindAddress
        .default('127.0.0.1:9400')
        .meta({ title: 'Address of the API, the dashboard and the metrics' }),
      hosts: z
        .array(z.string().regex(/^[A-Za-z0-9.-]+$/, 'a host name'))
        .max(100)
        .default([])
        .meta({
          title:
            'Host names under which browsers and programs may reach the API, such as that of a proxy before it; on loopback, names of loopback are always allowed',
        }),
    })
    .prefault({}),
  edge: z
    .strictObject({
      url: httpUrl.optional().meta({ title: 'URL of the Worker that the agent publishes the snapshot to' }),
      publish: z
        .strictObject({
          ingest: z.boolean().default(true).meta({ title: 'Publish the snapshot to the Worker at edge.url' }),
          kvApi: z
            .boolean()
            .default(false)
            .meta({ title: "Publish the snapshot through Cloudflare's REST API as well" }),
          kvWritesPerDay: positiveInt
            .default(900)
            .meta({ title: 'KV writes per day; further changes reach only the Durable Object' }),
        })
        .prefault({}),
    })
    .prefault({}),
  rateLimits: z.array(rateLimit).max(32).default([]).meta({
    title: 'Limits that count requests to all services together, in addition to the limits of each service',
  }),
  headers: headersSection.prefault({}),
  defaults: defaultsSection.prefault({}),
  services: z.record(id, serviceSection).refine((services) => Object.keys(services).length > 0, {
    error: 'at least one service',
  }),
  haproxy: haproxySection.prefault({}),
  postgres: z
    .strictObject({
      pool: z
        .strictObject({
          min: z.int().min(0).default(1).meta({ title: 'Connections kept open' }),
          max: positiveInt.max(1000).default(10).meta({ title: 'Maximum number of connections' }),
          idle: duration.default(300_000).meta({ title: 'Time after which an idle connection is closed' }),
        })
        .prefault({}),
      rowInterval: duration
        .refine((ms) => ms >= 10_000 && ms <= 300_000 && ms % 10_000 === 0, {
          error: 'a multiple of 10s, from 10s to 5m',
        })
        .optional()
        .meta({
          title:
            'Time that one row of load_balancing_metrics covers; default: 10s, with more than 150 instances 5m',
        }),
    })
    .prefault({}),
  monitor: monitorSection.prefault({}),
  alerts: alertsSection.prefault({}),
  telemetry: telemetrySection.prefault({}),
  retention: age.default(30 * 86_400_000).meta({ title: 'How long raw history is kept' }),
  registry: z
    .strictObject({
      allowNetworks: z
        .array(cidr)
        .min(1)
        .default(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7'])
        .meta({ title: 'Networks that instances registered at run time may be in' }),
    })
    .prefault({}),
  logging: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error'])
        .default('info')
        .meta({ title: 'Lowest level that is logged' }),
    })
    .prefault({}),
});

export type ConfigFile = z.output<typeof fileSchema>;
