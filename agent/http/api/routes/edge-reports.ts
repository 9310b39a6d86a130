import { getConnInfo } from '@hono/node-server/conninfo';
import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { EdgeReport } from '../../../../shared/edge-report.ts';
import { edgeTraceSchema } from '../../schemas/edge-trace.ts';
import type { ApiContext } from '../context.ts';
import { limitBody } from '../limit-body.ts';
import { problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import { describeIssue } from '../zod-errors.ts';

const count = z.number().int().nonnegative().max(1e9);
const sketch = z
  .object({
    count,
    // Reports are added up: the total must stay a number.
    sum: z.number().nonnegative().max(1e18),
    max: z.number().nonnegative().max(1e15),
    buckets: z.record(z.string().regex(/^-?\d{1,5}$/), count),
  })
  .refine(({ count: all, buckets }) => all === Object.values(buckets).reduce((sum, one) => sum + one, 0), {
    error: 'must count the values of all buckets',
  });
const name = z.string().max(64);

export const reportSchema = z.object({
  v: z.literal(1),
  site: name,
  isolate: z.string().max(64),
  seq: count,
  from: z.number().nonnegative().max(1e15),
  to: z.number().nonnegative().max(1e15),
  snapshot: z
    .object({ epoch: z.number(), seq: z.number(), ageMs: z.number(), source: z.string().max(32) })
    .nullable(),
  tries: z
    .array(
      z.object({
        service: name,
        instance: name,
        path: z.enum(['gateway', 'direct']),
        success: count,
        failure: count,
        latency: sketch,
      }),
    )
    .max(20_000),
  limits: z
    .array(z.object({ service: name, policy: name, allowed: count, denied: count, shadowDenied: count }))
    .max(5_000),
  requests: z
    .array(
      z.object({
        service: name,
        total: count,
        status2xx: count,
        status3xx: count,
        status4xx: count,
        status5xx: count,
        retries: count,
        failovers: count,
        stale: count,
        shed: count,
        unavailable: count,
        // An edge of an earlier version does not send these.
        limited: count.default(0),
        forbidden: count.default(0),
        hedges: count.default(0),
        latency: sketch,
      }),
    )
    .max(5_000),
  // A trace that does not fit must not cost the counters.
  traces: z
    .array(edgeTraceSchema)
    .max(1_000)
    .catch([])
    .openapi({ type: 'array', items: { type: 'object' } }),
  tracesDropped: count.default(0),
});

/** POST /v1/edge-reports: counters of the edge. HAProxy checks the token too; this check covers direct access. */
export function registerEdgeReportRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: '/v1/edge-reports',
    summary: 'Counters of one edge isolate',
    description: 'The credential is the edge token in x-acgs-edge.',
    request: {
      headers: z.object({ 'x-acgs-edge': z.string() }),
      body: { content: { 'application/json': { schema: reportSchema } } },
    },
    responses: {
      204: { description: 'accepted' },
      400: problemContent('not a report for this site'),
      401: problemContent('no valid edge token'),
    },
  });
  app.post('/v1/edge-reports', requireEdgeToken(context), limitBody(2 * 1024), async (request) => {
    const parsed = reportSchema.safeParse(await request.req.json().catch(() => null));
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const detail = issue && `${issue.path.join('.') || 'body'}: ${describeIssue(issue)}`;
      throw new ProblemError(400, 'Bad request', detail ?? 'not an edge report');
    }
    const report: EdgeReport = parsed.data;
    if (report.site !== context.config().site.id) {
      throw new ProblemError(
        400,
        'Bad request',
        `the report is for site "${report.site}", this agent serves "${context.config().site.id}"`,
      );
    }
    context.acceptEdgeReport(report);
    return request.body(null, 204);
  });
}

/** Runs before the body is read. */
function requireEdgeToken(context: ApiContext): MiddlewareHandler {
  return async (request, next) => {
    const address = getConnInfo(request).remote.address ?? '';
    const verdict = await context.checkEdgeToken(request.req.header('x-acgs-edge') ?? '', address);
    if (verdict === 'busy') {
      throw new ProblemError(429, 'Too many attempts', `too many invalid edge tokens from ${address}`, {
        headers: { 'retry-after': '5', connection: 'close' },
      });
    }
    if (verdict === 'invalid') {
      throw new ProblemError(401, 'Not authorised', 'x-acgs-edge needs a valid edge token for this site', {
        headers: { connection: 'close' },
      });
    }
    return next();
  };
}
