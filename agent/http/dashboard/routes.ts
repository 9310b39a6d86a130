import type { Env, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { loadAssets } from './assets.ts';
import type { AgentStatus, StatusView } from './status.ts';
import { createStatusFrames } from './status-frames.ts';

export { type AgentStatus, createStatusView, type StatusDocument, type StatusView } from './status.ts';

export interface DashboardOptions {
  live: StatusView;
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

/** Whole frames: one a second up to 200 instances, then proportionally fewer, about 100 KB/s at most. */
const frameIntervalMs = (instances: number): number => 1_000 * Math.max(1, Math.ceil(instances / 200));

/**
 * Mounts the page at `/`, its document at `/v1/status`, and the same document as a stream at `/v1/live`. With `?news` the
 * stream sends the whole once and from then on only what differs, changes of state within a fifth of a second.
 */
export function registerDashboard<E extends Env>(app: Hono<E>, { live, status }: DashboardOptions): void {
  const assets = loadAssets();
  const frames = createStatusFrames(() => live.status(status()));
  live.onChange(frames.hurry);
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
      const news = context.req.query('news') !== undefined;
      let open = true;
      stream.onAbort(() => {
        open = false;
      });
      let told = 0;
      while (open) {
        const frame = await frames.next(told);
        const part = news && frame.number === told + 1 ? frame.news : null;
        await stream.writeSSE(
          part === null ? { event: 'status', data: frame.whole() } : { event: 'news', data: part },
        );
        told = frame.number;
        if (!news) await stream.sleep(frameIntervalMs(frame.instances));
      }
    }),
  );
}
