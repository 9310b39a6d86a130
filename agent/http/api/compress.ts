import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { MiddlewareHandler } from 'hono';

/** Smaller bodies fit one packet: compression would save nothing. */
const MIN_BYTES = 1_024;

const compressInThreadPool = promisify(gzip);

/**
 * Compresses large 2xx responses for clients that accept gzip. It works in libuv's thread pool, so that a large response
 * does not delay probes. Level 1: a third more bytes than the default level, in a third of the time.
 */
export const compressLarge: MiddlewareHandler = async (context, next) => {
  await next();
  const { res } = context;
  if (!res.ok || !res.body || res.headers.has('content-encoding')) return;
  res.headers.append('vary', 'accept-encoding');
  if (!acceptsGzip(context.req.header('accept-encoding') ?? '')) return;
  const body = new Uint8Array(await res.arrayBuffer());
  const headers = new Headers(res.headers);
  if (body.length <= MIN_BYTES) {
    context.res = new Response(body, { status: res.status, headers });
    return;
  }
  headers.set('content-encoding', 'gzip');
  headers.delete('content-length');
  const packed = await compressInThreadPool(body, { level: constants.Z_BEST_SPEED });
  context.res = new Response(new Uint8Array(packed), { status: res.status, headers });
};

/** Whether an `Accept-Encoding` field allows gzip and does not prefer the body as it is (RFC 9110 §12.5.3). */
export function acceptsGzip(field: string): boolean {
  const weights = new Map(
    field.split(',').map((item) => {
      const [coding = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
      const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      return [coding, q === undefined ? 1 : Number(q)] as const;
    }),
  );
  // `x-gzip` is the old name of gzip (RFC 9110 §8.4.1.3).
  const gzipWeight = weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0;
  return gzipWeight > 0 && gzipWeight >= (weights.get('identity') ?? 0);
}
