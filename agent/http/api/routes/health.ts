import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';

/**
 * /health: the agent runs. /ready: it has judged every instance; sinks in trouble are named, and make it no less ready:
 * it goes on without them. /metrics: for Prometheus.
 */
export function registerHealthRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.get('/health', (request) => request.json({ status: 'ok', ...context.health() }));

  app.get('/ready', (request) => {
    const waitingFor = context.instancesWithoutState();
    const troubled = Object.fromEntries(
      Object.entries(context.health().sinks)
        .filter(([, { state }]) => state !== 'ok')
        .map(([name, { state, lastError }]) => [name, lastError ?? state]),
    );
    return request.json(
      { ready: waitingFor.length === 0, waitingFor, troubled },
      waitingFor.length === 0 ? 200 : 503,
    );
  });

  app.get('/metrics', async (request) => {
    const { text, contentType } = await context.metrics();
    return request.body(text, 200, { 'content-type': contentType });
  });
}
