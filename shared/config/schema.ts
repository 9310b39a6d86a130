import { z } from 'zod';
import { haproxySection } from './haproxy.ts';
import { alertsSection, monitorSection } from './monitor.ts';
import { bindAddress, cidr, duration, httpUrl, id, origin, positiveInt } from './scalars.ts';
import { defaultsSection, rateLimit, serviceSection } from './service.ts';

/** acgs-lb.yaml, section by section. What crosses sections is in `crossCheck`. */
export const fileSchema = z.strictObject({
  version: z.literal(1).meta({ title: 'of this file format' }),
  site: z.strictObject({
    id: id.meta({ title: 'name of this place; the snapshot is stored under it' }),
    gateways: z
      .array(origin)
      .min(1)
      .default(['http://127.0.0.1:8090'])
      .meta({ title: 'where the edge reaches the HAProxies of this site' }),
    agents: z.int().min(1).max(2).default(1).meta({ title: 'how many agents run here; of two, one leads' }),
    /** Share of traffic among sites that serve the same service. */
    weight: z
      .int()
      .min(1)
      .max(1000)
      .default(100)
      .meta({ title: 'share of traffic among sites that serve the same service' }),
    /** Cloudflare colo or country codes for which this site is the near one. */
    near: z
      .array(z.string().min(2).max(8))
      .default([])
      .meta({ title: 'Cloudflare colo or country codes for which this site is the near one' }),
  }),
  agent: z
    .strictObject({
      bind: bindAddress.default('127.0.0.1:9400').meta({ title: 'API, dashboard and metrics' }),
    })
    .prefault({}),
  edge: z
    .strictObject({
      url: httpUrl.optional().meta({ title: 'where the agent publishes the snapshot' }),
      publish: z
        .strictObject({
          ingest: z.boolean().default(true).meta({ title: 'publish to the Worker' }),
          kvApi: z.boolean().default(false).meta({ title: "publish by Cloudflare's REST API as well" }),
          kvWritesPerDay: positiveInt
            .default(900)
            .meta({ title: 'writes to KV a day; past it changes go to the Durable Object alone' }),
        })
        .prefault({}),
    })
    .prefault({}),
  rateLimits: z
    .array(rateLimit)
    .max(32)
    .default([])
    .meta({ title: 'limits that count requests to all services together, beside those of each' }),
  defaults: defaultsSection.prefault({}),
  services: z.record(id, serviceSection).refine((services) => Object.keys(services).length > 0, {
    error: 'at least one service',
  }),
  haproxy: haproxySection.prefault({}),
  postgres: z
    .strictObject({
      pool: z
        .strictObject({
          min: z.int().min(0).default(1).meta({ title: 'connections kept open' }),
          max: positiveInt.max(1000).default(10).meta({ title: 'connections opened at most' }),
          idle: duration.default(300_000).meta({ title: 'when a spare connection is closed' }),
        })
        .prefault({}),
    })
    .prefault({}),
  monitor: monitorSection.prefault({}),
  alerts: alertsSection.prefault({}),
  retention: duration.default(30 * 86_400_000).meta({ title: 'how long raw history is kept' }),
  registry: z
    .strictObject({
      allowNetworks: z
        .array(cidr)
        .min(1)
        .default(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7'])
        .meta({ title: 'where instances that register at run time may be' }),
    })
    .prefault({}),
  logging: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error'])
        .default('info')
        .meta({ title: 'least important line that is written' }),
    })
    .prefault({}),
});

export type ConfigFile = z.output<typeof fileSchema>;
