import type { OpenAPIHono } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { jsonContent, problemContent } from '../api/openapi-helpers.ts';
import { type AgentStatus, statusSchema } from '../schemas/status.ts';
import { loadAssets } from './assets.ts';
import type { StatusView } from './status.ts';
import { createStatusStream } from './status-stream.ts';

export interface DashboardOptions {
  view: StatusView;
  status(): AgentStatus;
}

/** No inline script or style, no other origin, no framing: injected text cannot run. */
const HEADERS: Record<string, string> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
};

/** The dashboard page and the three routes it needs besides the API's own. */
export function registerDashboard(app: OpenAPIHono, { view, status }: DashboardOptions): void {
  registerAssets(app);
  describeRoutes(app);

  // The bearer middleware has already checked the token.
  app.post('/v1/token', (context) => context.body(null, 204));

  app.get('/v1/status', (context) =>
    context.json(view.status(status()), 200, { 'cache-control': 'no-store' }),
  );

  const messages = createStatusStream(() => view.status(status()));
  view.onChange(messages.changed);
  app.get('/v1/live', (context) =>
    streamSSE(context, async (stream) => {
      let sent = 0;
      while (!stream.aborted) {
        const { number, text } = await messages.next(sent);
        await stream.writeSSE({ event: 'status', data: text });
        sent = number;
      }
    }),
  );
}

function registerAssets(app: OpenAPIHono): void {
  for (const [name, asset] of loadAssets()) {
    app.get(name === 'index.html' ? '/' : `/dashboard/${name}`, (context) => {
      const headers = { ...HEADERS, 'content-type': asset.type, etag: asset.etag };
      if (context.req.header('if-none-match') === asset.etag) return context.body(null, 304, headers);
      return context.body(asset.body, 200, headers);
    });
  }
}

function describeRoutes({ openAPIRegistry: registry }: OpenAPIHono): void {
  registry.registerPath({
    method: 'get',
    path: '/v1/status',
    summary: 'The document the dashboard and `acgs-lb status` show',
    responses: { 200: jsonContent(statusSchema, 'the status') },
  });
  registry.registerPath({
    method: 'get',
    path: '/v1/live',
    summary: 'The status as server-sent events',
    description:
      'Every event is named `status` and holds the whole document of `/v1/status`. The agent sends one per second up to ' +
      '200 instances, proportionally fewer above, and sends changes of state early.',
    responses: {
      200: { description: 'the stream', content: { 'text/event-stream': { schema: z.string() } } },
    },
  });
  registry.registerPath({
    method: 'post',
    path: '/v1/token',
    summary: 'Check the bearer token',
    responses: { 204: { description: 'the token is valid' }, 401: problemContent('the token is wrong') },
  });
}
