import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import type { LoggedChange } from '../../../core/event-log.ts';
import type { ApiContext } from '../context.ts';

/** A proxy in between must not take silence for death. */
const KEEP_ALIVE_MS = 15_000;
/** A reader that does not read is let go rather than remembered for. */
const BACKLOG = 1_000;

/**
 * GET /v1/events: every change as it happens (server-sent events). `Last-Event-ID` goes on after that event;
 * `?limit=N` begins with the last N; `?follow=false` ends after them.
 */
export function registerEventRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/v1/events',
    summary: 'Changes as they happen, as server-sent events; Last-Event-ID goes on after that one',
    request: {
      query: z.object({
        limit: z.coerce.number().optional().openapi({ description: 'begin with the last so many' }),
        follow: z.enum(['true', 'false']).optional().openapi({ description: 'false: end after those' }),
      }),
    },
    responses: {
      200: { description: 'the stream', content: { 'text/event-stream': { schema: z.string() } } },
    },
  });
  app.get('/v1/events', (request) => {
    const lastId = request.req.header('last-event-id');
    const limit = Math.max(0, Number(request.req.query('limit') ?? 0) || 0);
    const follow = request.req.query('follow') !== 'false';
    const first =
      lastId !== undefined
        ? context.events.after(Number(lastId) || 0)
        : limit > 0
          ? context.events.after(0, limit)
          : [];

    return streamSSE(request, async (stream) => {
      let queue: LoggedChange[] = [...first];
      let wake = () => {};
      let open = true;
      const close = () => {
        open = false;
        wake();
      };
      stream.onAbort(close);
      const unsubscribe = follow
        ? context.events.subscribe((entry) => {
            queue.push(entry);
            if (queue.length > BACKLOG) close();
            wake();
          })
        : () => {};
      try {
        while (open) {
          const ready = queue;
          queue = [];
          for (const { seq, change } of ready) {
            await stream.writeSSE({ id: String(seq), event: 'change', data: JSON.stringify(change) });
          }
          if (!follow && queue.length === 0) break;
          if (queue.length > 0) continue;
          const timedOut = await new Promise<boolean>((resolve) => {
            const timer = setTimeout(resolve, KEEP_ALIVE_MS, true);
            wake = () => {
              clearTimeout(timer);
              resolve(false);
            };
          });
          if (timedOut) await stream.write(': still here\n\n');
        }
      } finally {
        unsubscribe();
      }
    });
  });
}
