import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { sinkSchema } from '../../schemas/status.ts';
import type { ApiContext } from '../context.ts';
import { jsonContent } from '../openapi-helpers.ts';

const healthSchema = z.object({
  status: z.literal('ok'),
  version: z.string(),
  uptimeSeconds: z.number(),
  sinks: z.record(z.string(), sinkSchema),
});
const readySchema = z.object({
  ready: z.boolean(),
  waitingFor: z.array(z.string()).meta({ description: 'instances of the file without a probe result' }),
  troubled: z.record(z.string(), z.string()).meta({ description: 'last error of every sink that is not ok' }),
});

/** Liveness, readiness and metrics. None of them requires a token. */
export function registerHealthRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/health',
    summary: 'Liveness: the agent runs',
    responses: { 200: jsonContent(healthSchema, 'the agent runs') },
  });
  app.get('/health', (request) => request.json({ status: 'ok', ...context.health() }));

  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/ready',
    summary:
      'Readiness: every instance of the file has a probe result, or the agent has run for five seconds',
    description: 'A failing sink does not make the agent unready, because the agent works without it.',
    responses: {
      200: jsonContent(readySchema, 'ready'),
      503: jsonContent(readySchema, 'waiting for probe results'),
    },
  });
  app.get('/ready', (request) => {
    const waitingFor = context.instancesWithoutState();
    const troubled = Object.fromEntries(
      Object.entries(context.health().sinks)
        .filter(([, { state }]) => state !== 'ok')
        .map(([name, { state, lastError }]) => [name, lastError ?? state]),
    );
    const ready = waitingFor.length === 0;
    return request.json({ ready, waitingFor, troubled }, ready ? 200 : 503);
  });

  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/metrics',
    summary: 'Prometheus metrics',
    responses: { 200: { description: 'the metrics', content: { 'text/plain': { schema: z.string() } } } },
  });
  app.get('/metrics', async (request) => {
    const { page, contentType } = await context.metrics();
    return request.body(page, 200, { 'content-type': contentType });
  });
}
