/** Source of Workers without the edge's logic, as baselines. `backend` is the origin they forward to. */

export const passThroughWorker = (backend: string): string => `export default { fetch(request) {
  const { url } = request;
  return fetch('${backend}' + url.slice(url.indexOf('/', 8)), request);
} };`;

/**
 * Changes the same header fields as the edge, with a timeout, and makes no decision: the lowest cost of a Worker that adds
 * these fields.
 */
export const headerRewritingWorker = (backend: string): string => `export default { async fetch(request) {
  const { url, method, body } = request;
  const sent = new Headers(request.headers);
  sent.append('x-forwarded-for', '127.0.0.1');
  sent.append('forwarded', 'for=127.0.0.1;host="127.0.0.1:8787";proto=http');
  sent.append('via', '1.1 acgs-lb');
  sent.set('x-forwarded-proto', 'http');
  sent.set('x-forwarded-host', '127.0.0.1:8787');
  sent.set('x-request-id', '4e3c1cf8-3f0e-4d5f-1a2b');
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 30000);
  const upstream = await fetch('${backend}' + url.slice(url.indexOf('/', 8)), {
    method, headers: sent, body, redirect: 'manual', signal: controller.signal,
  });
  clearTimeout(timer);
  const response = new Response(upstream.body, upstream);
  const { headers } = response;
  headers.set('x-acgs-instance', 'bench-1');
  headers.set('x-content-type-options', 'nosniff');
  headers.set('x-frame-options', 'SAMEORIGIN');
  headers.set('referrer-policy', 'strict-origin-when-cross-origin');
  headers.append('via', '1.1 acgs-lb');
  headers.set('x-request-id', '4e3c1cf8-3f0e-4d5f-1a2b');
  headers.append('server-timing', 'edge;dur=1, origin;dur=1');
  headers.set('ratelimit', '"per-ip";r=999999999;t=10');
  headers.set('ratelimit-policy', '"per-ip";q=1000000000;w=10');
  headers.append('set-cookie', 'acgs_affinity=c1.${'x'.repeat(96)}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax');
  return response;
} };`;
