import { getConnInfo } from '@hono/node-server/conninfo';
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { errorMessage } from '../../../../shared/error-message.ts';
import { instanceKey } from '../../../core/state.ts';
import type { History } from '../../../history/series/series.ts';
import { historySchema } from '../../schemas/history.ts';
import type { ApiContext } from '../context.ts';
import { jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import { historyQuery, parseRange } from '../time-range.ts';

const route = createRoute({
  method: 'get',
  path: '/v1/history',
  summary: 'Figures over time of the site, a service or an instance, in at most 300 steps',
  description:
    'The length of the range decides whether minutes, hours or days are read. Counts are per step. Each client may run one query, and eight more may wait.',
  tags: ['history'],
  request: { query: historyQuery },
  responses: {
    200: jsonContent(historySchema, 'the figures'),
    400: problemContent('invalid query'),
    404: problemContent('service or instance neither configured nor in history'),
    429: problemContent('too many queries are waiting; retry after Retry-After'),
    503: problemContent('history unavailable'),
  },
});

/** GET /v1/history. */
export function registerHistoryRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openapi(route, async (request) => {
    const { service, instance, ...times } = request.req.valid('query');
    if (instance !== undefined && service === undefined) {
      throw new ProblemError(400, 'Bad request', 'instance: needs service');
    }
    const range = parseRange(times, context.now());
    const history = await queryHistory(context, request, () =>
      context.readHistory({
        ...(service !== undefined && { service }),
        ...(instance !== undefined && { instance }),
        ...range,
        now: context.now(),
      }),
    );
    requireKnown(context, history);
    return request.json(history, 200);
  });
}

/** Runs a database query within the limits. Throws 503 when it fails: Postgres is unavailable or too slow. */
export async function queryHistory<T>(
  { queries, log }: Pick<ApiContext, 'queries' | 'log'>,
  request: Context,
  query: () => Promise<T>,
): Promise<T> {
  const address = getConnInfo(request).remote.address ?? '';
  try {
    return await queries.run(address, request.req.raw.signal, query);
  } catch (cause) {
    if (cause instanceof ProblemError) throw cause;
    log.warn({ error: errorMessage(cause), path: request.req.path }, 'history not read');
    throw new ProblemError(503, 'History unavailable', `cannot read history: ${errorMessage(cause)}`, {
      headers: { 'retry-after': '5' },
    });
  }
}

/** Throws 404 for a name that is neither configured nor in history. A removed instance still has history. */
function requireKnown(context: ApiContext, { service, instance, totals }: History): void {
  if (service === undefined) return;
  const isKnown =
    instance === undefined
      ? Object.hasOwn(context.config().services, service)
      : context.instances().has(instanceKey(service, instance));
  const hasData = totals.requests !== null || totals.servingPercent !== null;
  if (!isKnown && !hasData) {
    const name = instance === undefined ? `service "${service}"` : `instance "${service}/${instance}"`;
    throw new ProblemError(404, 'Not found', `unknown ${name}: not configured, and no history in this range`);
  }
}
