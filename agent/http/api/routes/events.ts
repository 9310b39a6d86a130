import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import type { EventLog, LoggedChange } from '../../../core/event-log.ts';
import type { ApiContext } from '../context.ts';

/** Proxies close connections that stay silent for too long. */
const KEEP_ALIVE_MS = 15_000;
/** A client that falls this many events behind is disconnected. */
const MAX_BACKLOG = 1_000;

/** GET /v1/events: changes of instances as server-sent events. */
export function registerEventRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/v1/events',
    summary: 'Changes of instances as server-sent events',
    description: 'Every event is named `change`. `Last-Event-ID` resumes after that event.',
    request: {
      query: z.object({
        limit: z.coerce.number().optional().openapi({ description: 'start with the latest N events' }),
        follow: z
          .enum(['true', 'false'])
          .optional()
          .openapi({ description: 'false: end the stream after past events' }),
      }),
    },
    responses: {
      200: { description: 'the stream', content: { 'text/event-stream': { schema: z.string() } } },
    },
  });
  app.get('/v1/events', (request) => {
    const { req } = request;
    const past = pastEvents(context.events, req.header('last-event-id'), Number(req.query('limit')) || 0);
    const follow = req.query('follow') !== 'false';
    return streamSSE(request, (stream) =>
      follow ? sendAndFollow(stream, past, context.events) : send(stream, past),
    );
  });
}

function pastEvents(events: EventLog, lastId: string | undefined, limit: number): LoggedChange[] {
  if (lastId !== undefined) return events.after(Number(lastId) || 0);
  return limit > 0 ? events.after(0, limit) : [];
}

async function send(stream: SSEStreamingApi, entries: readonly LoggedChange[]): Promise<void> {
  for (const { seq, change } of entries) {
    await stream.writeSSE({ id: String(seq), event: 'change', data: JSON.stringify(change) });
  }
}

/** Sends past events, then every new one until the client disconnects or falls too far behind. */
async function sendAndFollow(
  stream: SSEStreamingApi,
  past: readonly LoggedChange[],
  events: EventLog,
): Promise<void> {
  let queue = [...past];
  let wake = (): void => undefined;
  let open = true;
  const close = (): void => {
    open = false;
    wake();
  };
  stream.onAbort(close);
  const unsubscribe = events.subscribe((entry) => {
    queue.push(entry);
    if (queue.length > MAX_BACKLOG) close();
    wake();
  });
  try {
    while (open) {
      const ready = queue;
      queue = [];
      await send(stream, ready);
      if (queue.length > 0 || !open) continue;
      const timedOut = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, KEEP_ALIVE_MS, true);
        wake = () => {
          clearTimeout(timer);
          resolve(false);
        };
      });
      if (timedOut) await stream.write(': keep-alive\n\n');
    }
  } finally {
    unsubscribe();
  }
}
