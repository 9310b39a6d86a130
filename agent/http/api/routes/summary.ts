import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Config } from '../../../../shared/config/config.ts';
import { duration as durationSchema } from '../../../../shared/config/scalars.ts';
import { errorMessage } from '../../../../shared/error-message.ts';
import { type AlertRecord, severityOf } from '../../../alerting/alert.ts';
import { readRules } from '../../../alerting/rules.ts';
import { type Severity, WORST_FIRST } from '../../../alerting/severity.ts';
import type { SiteSummary } from '../../../alerting/summary.ts';
import { problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';

export interface SummaryRouteDeps {
  config: () => Config;
  summary: () => Promise<SiteSummary>;
  figures: (windowMs: number) => Promise<SiteSummary>;
  firing: () => readonly AlertRecord[];
}

const figure = z.number().nullable();
const measures = {
  requests: z.number().openapi({
    description: 'of a service: requests as clients saw them, each counted once; of an instance: attempts',
  }),
  failed: z.number().openapi({ description: '5xx, or no complete response' }),
  perSecond: z.number(),
  errorPercent: figure,
  p50Ms: figure,
  p95Ms: figure,
  p99Ms: figure,
  latencySamples: z.number(),
  availabilityPercent: figure.openapi({
    description: 'share of requests that did not fail; of an instance, and without requests: servingPercent',
  }),
  servingPercent: figure.openapi({ description: 'share of samples that found it able to take traffic' }),
  attempts: z.number().openapi({ description: 'to all instances; a request may need several' }),
  retries: z.number().openapi({ description: 'attempts made because the one before failed' }),
  hedges: z.number().openapi({ description: 'copies of late attempts' }),
  limited: z.number().openapi({ description: 'requests rejected with 429 by a rate limit' }),
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
  summary: 'Requests of the last minutes or hours; their status against the thresholds',
  description: 'status and alerts are always those of monitor.window.',
  tags: ['monitor'],
  request: {
    query: z.object({
      window: z.string().optional().openapi({
        description:
          '1m to 24h; default: monitor.window. Beyond what memory holds, figures come from history, without instances.',
        example: '1h',
      }),
    }),
  },
  responses: {
    400: problemContent('invalid window'),
    503: problemContent('history unavailable'),
    200: { description: 'the summary', content: { 'application/json': { schema: summarySchema } } },
  },
});

const worst = (list: readonly (Severity | null)[]): Severity | 'ok' =>
  WORST_FIRST.find((severity) => list.includes(severity)) ?? 'ok';

/** GET /v1/summary. `status` compares current values with the thresholds, whether or not an alert was sent. */
export function registerSummaryRoutes(app: OpenAPIHono, deps: SummaryRouteDeps): void {
  app.openapi(route, async (request) => {
    const { window } = request.req.valid('query');
    const current = await deps.summary();
    const summary = window === undefined ? current : await figuresOf(deps, window);
    const { thresholds, minimumSamples } = deps.config().monitor;
    const severities = readRules(current, minimumSamples).map(({ rule, service, value }) => ({
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

const MIN_WINDOW_MS = 60_000;
const MAX_WINDOW_MS = 86_400_000;

async function figuresOf({ figures }: SummaryRouteDeps, window: string): Promise<SiteSummary> {
  const windowMs = durationSchema.safeParse(window).data ?? 0;
  if (windowMs < MIN_WINDOW_MS || windowMs > MAX_WINDOW_MS) {
    throw new ProblemError(400, 'Bad request', `window: expected 1m to 24h, found ${window.slice(0, 40)}`);
  }
  return figures(windowMs).catch((cause: unknown) => {
    throw new ProblemError(503, 'History unavailable', `cannot read history: ${errorMessage(cause)}`);
  });
}
