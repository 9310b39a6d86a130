import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';

/** /health: the agent runs. /ready: it has judged every instance. /metrics: for Prometheus. */
export function registerOwnRoutes(app: OpenAPIHono, context: ApiContext): void {
  app.get('/health', (request) => request.json({ status: 'ok', ...context.health() }));

  app.get('/ready', (request) => {
    const waitingFor = context.waitingFor();
    return request.json({ ready: waitingFor.length === 0, waitingFor }, waitingFor.length === 0 ? 200 : 503);
  });

  app.get('/metrics', async (request) => {
    const { text, contentType } = await context.metrics();
    return request.body(text, 200, { 'content-type': contentType });
  });
}
