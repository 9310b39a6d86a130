import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Config } from '../../../../shared/config/config.ts';
import { type AlertRecord, type Severity, severityOf } from '../../../alerting/alert.ts';
import { readRules } from '../../../alerting/rules.ts';
import type { SiteSummary } from '../../../alerting/summary.ts';

export interface SummaryRouteDeps {
  config: () => Config;
  summary: () => SiteSummary;
  firing: () => readonly AlertRecord[];
}

const figure = z.number().nullable();
const measures = {
  requests: z.number(),
  perSecond: z.number(),
  errorPercent: figure,
  p50Ms: figure,
  p95Ms: figure,
  p99Ms: figure,
  latencySamples: z.number(),
  availabilityPercent: figure.openapi({ description: 'share of looks at which it could take traffic' }),
  samples: z.number(),
  concurrency: figure.openapi({ description: 'mean of requests in flight plus queued' }),
  queuedMax: z.number(),
};

export const summarySchema = z
  .object({
    at: z.number(),
    site: z.string(),
    status: z.enum(['ok', 'warning', 'critical', 'emergency']),
    windowSeconds: z.number(),
    total: z.object(measures),
    host: z.object({ cpuPercent: figure, memoryPercent: figure, samples: z.number() }),
    services: z.array(
      z.object({
        id: z.string(),
        status: z.enum(['ok', 'warning', 'critical', 'emergency']),
        up: z.number(),
        of: z.number(),
        ...measures,
        instances: z.array(
          z.object({
            id: z.string(),
            state: z.enum(['up', 'probation', 'draining', 'down']),
            reason: z.string(),
            ...measures,
          }),
        ),
      }),
    ),
    thresholds: z.record(
      z.string(),
      z.object({ warning: z.number(), critical: z.number(), emergency: z.number() }),
    ),
    alerts: z.number().openapi({ description: 'alerts that fire' }),
  })
  .openapi('Summary');

const route = createRoute({
  method: 'get',
  path: '/v1/summary',
  summary: 'How the last minutes were, against the targets',
  tags: ['monitor'],
  responses: {
    200: { description: 'the summary', content: { 'application/json': { schema: summarySchema } } },
  },
});

const ORDER: readonly Severity[] = ['emergency', 'critical', 'warning'];
const worst = (list: readonly (Severity | null)[]): Severity | 'ok' =>
  ORDER.find((severity) => list.includes(severity)) ?? 'ok';

/** The guide's performance summary. `status` is how the figures stand now, whether or not anybody was told. */
export function registerSummaryRoutes(app: OpenAPIHono, deps: SummaryRouteDeps): void {
  app.openapi(route, (request) => {
    const summary = deps.summary();
    const { thresholds, minimumSamples } = deps.config().monitor;
    const judged = readRules(summary, minimumSamples).map(({ rule, service, value }) => ({
      service,
      severity: value === null ? null : severityOf(rule, value, thresholds[rule]),
    }));
    const of = (service: string) =>
      worst(judged.filter((one) => one.service === service).map(({ severity }) => severity));
    return request.json(
      {
        ...summary,
        status: worst(judged.map(({ severity }) => severity)),
        services: summary.services.map((service) => ({ ...service, status: of(service.id) })),
        thresholds,
        alerts: deps.firing().length,
      },
      200,
    );
  });
}
