import type { Env, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { loadAssets } from './assets.ts';
import type { AgentStatus, LiveView } from './live.ts';

export { type AgentStatus, createLiveView, type LiveStatus, type LiveView } from './live.ts';

export interface DashboardDeps {
  live: LiveView;
  status(): AgentStatus;
}

/** No inline script or style, nothing from elsewhere, no frame around it: what an injected text could do is nothing. */
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

/** A frame a second up to 200 instances, then proportionally fewer: the page's traffic stays about 100 KB/s. */
const frameIntervalMs = (instances: number): number => 1_000 * Math.max(1, Math.ceil(instances / 200));

/** Mounts the page at `/`, its document at `/v1/status`, and the same document as a stream at `/v1/live`. */
export function registerDashboard<E extends Env>(app: Hono<E>, { live, status }: DashboardDeps): void {
  const assets = loadAssets();
  for (const [name, asset] of assets) {
    app.get(name === 'index.html' ? '/' : `/dashboard/${name}`, (context) => {
      const headers = { ...HEADERS, 'content-type': asset.type, etag: asset.etag };
      if (context.req.header('if-none-match') === asset.etag) return context.body(null, 304, headers);
      return context.body(asset.body, 200, headers);
    });
  }

  // The right to write, asked before it is used: the API's guard has let this through, or it would not be here.
  app.post('/v1/token', (context) => context.body(null, 204));

  app.get('/v1/status', (context) =>
    context.json(live.status(status()), 200, { 'cache-control': 'no-store' }),
  );

  app.get('/v1/live', (context) =>
    streamSSE(context, async (stream) => {
      let open = true;
      stream.onAbort(() => {
        open = false;
      });
      while (open) {
        const frame = live.status(status());
        await stream.writeSSE({ event: 'status', data: JSON.stringify(frame) });
        const instances = frame.services.reduce((sum, service) => sum + service.instances.length, 0);
        await stream.sleep(frameIntervalMs(instances));
      }
    }),
  );
}
