import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Config } from '../../../../shared/config/config.ts';
import { type AlertRecord, severityOf } from '../../../alerting/alert.ts';
import { readRules } from '../../../alerting/rules.ts';
import { type Severity, WORST_FIRST } from '../../../alerting/severity.ts';
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
  availabilityPercent: figure.openapi({ description: 'share of samples that found it able to take traffic' }),
  samples: z.number(),
  concurrency: figure.openapi({ description: 'mean of requests in flight plus queued' }),
  queuedMax: z.number(),
};

const summarySchema = z
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
    alerts: z.number().openapi({ description: 'firing alerts' }),
  })
  .openapi('Summary');

const route = createRoute({
  method: 'get',
  path: '/v1/summary',
  summary: 'Traffic of the last minutes compared with the thresholds',
  tags: ['monitor'],
  responses: {
    200: { description: 'the summary', content: { 'application/json': { schema: summarySchema } } },
  },
});

const worst = (list: readonly (Severity | null)[]): Severity | 'ok' =>
  WORST_FIRST.find((severity) => list.includes(severity)) ?? 'ok';

/** GET /v1/summary. `status` compares current values with the thresholds, whether or not an alert was sent. */
export function registerSummaryRoutes(app: OpenAPIHono, deps: SummaryRouteDeps): void {
  app.openapi(route, (request) => {
    const summary = deps.summary();
    const { thresholds, minimumSamples } = deps.config().monitor;
    const severities = readRules(summary, minimumSamples).map(({ rule, service, value }) => ({
      service,
      severity: value === null ? null : severityOf(rule, value, thresholds[rule]),
    }));
    const severityFor = (service: string) =>
      worst(severities.filter((one) => one.service === service).map(({ severity }) => severity));
    return request.json(
      {
        ...summary,
        status: worst(severities.map(({ severity }) => severity)),
        services: summary.services.map((service) => ({ ...service, status: severityFor(service.id) })),
        thresholds,
        alerts: deps.firing().length,
      },
      200,
    );
  });
}
