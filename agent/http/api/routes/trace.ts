import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { errorMessage } from '../../../../shared/error-message.ts';
import { isRequestId } from '../../../../shared/trace-context.ts';
import { describeRequests } from '../../../tracing/describe-request.ts';
import type { FoundTrace } from '../../../tracing/trace-store.ts';
import { tracedRequestsSchema } from '../../schemas/trace.ts';
import { jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';

export interface TraceRouteDeps {
  /** Rejects when history does not answer. */
  find: (id: string) => Promise<FoundTrace>;
  site: () => string;
}

const route = createRoute({
  method: 'get',
  path: '/v1/trace/{id}',
  summary: 'What happened to a request, by its request id or trace id',
  request: {
    params: z.object({
      id: z
        .string()
        .refine(isRequestId, '1 to 128 characters of A-Z a-z 0-9 . _ : / + = -')
        .openapi({ description: 'x-request-id, or the trace id in traceparent' }),
    }),
  },
  responses: {
    200: jsonContent(tracedRequestsSchema, 'every request with this id that the agent knows, oldest first'),
    404: problemContent('the agent knows no such request'),
    503: problemContent('not in memory, and history does not answer'),
  },
});

/** GET /v1/trace/:id */
export function registerTraceRoutes(app: OpenAPIHono, { find, site }: TraceRouteDeps): void {
  app.openapi(route, async (request) => {
    const { id } = request.req.valid('param');
    const found = await find(id).catch((error: unknown) => {
      throw new ProblemError(
        503,
        'History unavailable',
        `the agent has no request with the id ${id} in memory, and history does not answer: ${errorMessage(error)}`,
      );
    });
    const requests = describeRequests(found, site());
    if (requests.length === 0) {
      throw new ProblemError(
        404,
        'Not found',
        `no request with the id ${id}: it did not come to this site, or it was not kept; ` +
          'the edge reports up to 20 s later',
      );
    }
    return request.json({ id, requests }, 200);
  });
}
