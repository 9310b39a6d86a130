import { z } from 'zod';
import { haproxySection } from './haproxy.ts';
import { alertsSection, monitorSection } from './monitor.ts';
import { bindAddress, cidr, duration, httpUrl, id, origin, positiveInt } from './scalars.ts';
import { defaultsSection, serviceSection } from './service.ts';

/** acgs-lb.yaml, section by section. What crosses sections is in `crossCheck`. */
export const fileSchema = z.strictObject({
  version: z.literal(1),
  site: z.strictObject({
    id,
    gateways: z.array(origin).min(1).default(['http://127.0.0.1:8090']),
    agents: z.int().min(1).max(2).default(1),
    /** Share of traffic among sites that serve the same service. */
    weight: z.int().min(1).max(1000).default(100),
    /** Cloudflare colo or country codes for which this site is the near one. */
    near: z.array(z.string().min(2).max(8)).default([]),
  }),
  agent: z.strictObject({ bind: bindAddress.default('127.0.0.1:9400') }).prefault({}),
  edge: z
    .strictObject({
      url: httpUrl.optional(),
      publish: z
        .strictObject({
          ingest: z.boolean().default(true),
          kvApi: z.boolean().default(false),
          kvWritesPerDay: positiveInt.default(900),
        })
        .prefault({}),
    })
    .prefault({}),
  defaults: defaultsSection.prefault({}),
  services: z.record(id, serviceSection).refine((services) => Object.keys(services).length > 0, {
    error: 'at least one service',
  }),
  haproxy: haproxySection.prefault({}),
  postgres: z
    .strictObject({
      pool: z
        .strictObject({
          min: z.int().min(0).default(1),
          max: positiveInt.max(1000).default(10),
          idle: duration.default(300_000),
        })
        .prefault({}),
    })
    .prefault({}),
  monitor: monitorSection.prefault({}),
  alerts: alertsSection.prefault({}),
  retention: duration.default(30 * 86_400_000),
  registry: z
    .strictObject({
      allowNetworks: z
        .array(cidr)
        .min(1)
        .default(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7']),
    })
    .prefault({}),
  logging: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
    })
    .prefault({}),
});

export type ConfigFile = z.output<typeof fileSchema>;
