import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import type { EventLog, LoggedChange } from '../../../core/event-log.ts';
import type { Change } from '../../../core/state.ts';
import { unknownServiceText } from '../../../core/unknown-name.ts';
import { EVENT_KINDS, type EventCursor, type EventKind, type EventQuery } from '../../../history/events.ts';
import { changeSchema, eventPageSchema } from '../../schemas/events.ts';
import { actorOf } from '../actor.ts';
import type { ApiContext } from '../context.ts';
import { jsonBody, jsonContent, problemContent } from '../openapi-helpers.ts';
import { ProblemError } from '../problem.ts';
import { momentOf, sinceUntil, subjectQuery } from '../time-range.ts';
import { describeIssue } from '../zod-errors.ts';
import { queryHistory } from './history.ts';

/** Proxies close connections that stay silent for too long. */
const KEEP_ALIVE_MS = 15_000;
/** A client that falls this many events behind is disconnected. */
const MAX_BACKLOG = 1_000;

const streamQuery = {
  limit: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000)
    .optional()
    .openapi({ description: 'stream: start with the latest N events; page: at most N, default 100' }),
  follow: z
    .enum(['true', 'false'])
    .optional()
    .openapi({ description: 'false: end the stream after past events' }),
  ...subjectQuery,
  kind: z
    .string()
    .max(200)
    .optional()
    .openapi({ description: `kinds separated by commas: ${EVENT_KINDS.join(', ')}` }),
};

const list = createRoute({
  method: 'get',
  path: '/v1/events',
  summary: 'Events: a stream of changes, or a page of history',
  description:
    'With since, until, before or `Accept: application/json`: a page of all events from the database, newest first. Otherwise: changes of instances and the configuration as server-sent events named `change`; `Last-Event-ID` resumes after that event.',
  tags: ['history'],
  request: {
    query: z.object({
      ...streamQuery,
      ...sinceUntil,
      before: z.string().max(100).optional().openapi({ description: '`next` of the previous page' }),
    }),
  },
  responses: {
    200: {
      description: 'the stream, or the page',
      content: {
        'text/event-stream': { schema: z.string() },
        'application/json': { schema: eventPageSchema },
      },
    },
    400: problemContent('invalid query'),
    429: problemContent('too many queries are waiting; retry after Retry-After'),
    503: problemContent('history unavailable'),
  },
});

const record = createRoute({
  method: 'post',
  path: '/v1/events',
  summary: 'Record a step of a deployment; charts mark it',
  tags: ['history'],
  request: jsonBody(
    z.strictObject({
      kind: z.literal('rollout'),
      service: z.string(),
      instance: z.string().max(128).default(''),
      to: z.enum(['started', 'finished', 'failed']),
      reason: z
        .string()
        .min(1)
        .max(500)
        .refine((text) => !text.includes('\0'), { error: 'must not contain U+0000' }),
    }),
  ),
  responses: {
    202: jsonContent(changeSchema, 'recorded'),
    400: problemContent('invalid event'),
    404: problemContent('unknown service'),
  },
});

/** GET and POST /v1/events. */
export function registerEventRoutes(app: OpenAPIHono, context: ApiContext): void {
  // Hono's types allow one content type per route.
  app.openAPIRegistry.registerPath(list);
  app.get('/v1/events', async (request) => {
    const query = list.request.query.safeParse(request.req.query());
    if (!query.success) {
      const texts = query.error.issues.map((issue) => `${issue.path.join('.')}: ${describeIssue(issue)}`);
      throw new ProblemError(400, 'Bad request', texts.join('; '));
    }
    const { data } = query;
    const filter = { service: data.service, instance: data.instance, kinds: parseKinds(data.kind) };
    if (asksForPage(request, data))
      return request.json(await readPage(context, request, { ...data, ...filter }));
    const past = pastEvents(context.events, request.req.header('last-event-id'), data.limit ?? 0).filter(
      ({ change }) => matches(change, filter),
    );
    return streamSSE(request, (stream) =>
      data.follow === 'false' ? send(stream, past) : sendAndFollow(stream, past, context.events, filter),
    );
  });
  app.openapi(record, (request) => {
    const { service, instance, to, reason } = request.req.valid('json');
    if (!Object.hasOwn(context.config().services, service)) {
      throw new ProblemError(404, 'Not found', unknownServiceText(service, context.config()));
    }
    const change: Change = {
      at: context.now(),
      service,
      instance,
      kind: 'rollout',
      to,
      reason,
      by: actorOf(request),
    };
    context.recordChange(change);
    return request.json(change, 202);
  });
}

interface EventFilter {
  service: string | undefined;
  instance: string | undefined;
  /** Empty: all. */
  kinds: readonly EventKind[];
}

const isKind = (text: string): text is EventKind => (EVENT_KINDS as readonly string[]).includes(text);

function parseKinds(text: string | undefined): EventKind[] {
  const kinds = text?.split(',') ?? [];
  const unknown = kinds.find((kind) => !isKind(kind));
  if (unknown !== undefined) {
    const allowed = EVENT_KINDS.join(', ');
    throw new ProblemError(400, 'Bad request', `kind: ${JSON.stringify(unknown)} is not one of ${allowed}`);
  }
  return kinds.filter(isKind);
}

const matches = (change: Change, { service, instance, kinds }: EventFilter): boolean =>
  (service === undefined || change.service === service) &&
  (instance === undefined || change.instance === instance) &&
  (kinds.length === 0 || kinds.includes(change.kind));

type ListQuery = z.infer<typeof list.request.query>;

const asksForPage = ({ req }: Context, { since, until, before }: ListQuery): boolean =>
  since !== undefined ||
  until !== undefined ||
  before !== undefined ||
  /\bapplication\/json\b/.test(req.header('accept') ?? '');

const DEFAULT_PAGE = 100;

async function readPage(
  context: ApiContext,
  request: Context,
  { since, until, before, limit, ...filter }: ListQuery & EventFilter,
): Promise<z.infer<typeof eventPageSchema>> {
  const now = context.now();
  const { service, instance, kinds } = filter;
  const query: EventQuery = {
    since: momentOf('since', since, now) ?? 0,
    until: momentOf('until', until, now) ?? now,
    kinds,
    limit: limit || DEFAULT_PAGE,
    ...(service !== undefined && { service }),
    ...(instance !== undefined && { instance }),
    ...(before !== undefined && { before: parseCursor(before) }),
  };
  const { events, next } = await queryHistory(context, request, () => context.readEvents(query));
  return { events, next: next && `${next.timestamp}_${next.id}` };
}

function parseCursor(text: string): EventCursor {
  const [, timestamp, id] = /^(\d+(?:\.\d+)?)_([a-z][\w./-]+)$/i.exec(text) ?? [];
  if (timestamp === undefined || id === undefined) {
    throw new ProblemError(400, 'Bad request', 'before: expected `next` of a previous page');
  }
  return { timestamp: Number(timestamp), id };
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
  filter: EventFilter,
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
    if (!matches(entry.change, filter)) return;
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
