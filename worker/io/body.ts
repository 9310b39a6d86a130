/** A request body that can be sent more than once, or not. */
export type Body =
  | { kind: 'none' }
  | { kind: 'buffered'; bytes: ArrayBuffer }
  /** Too long to keep: it can be sent once. */
  | { kind: 'stream'; stream: ReadableStream; used: boolean };

export const REPLAY_LIMIT_BYTES = 64 * 1024;

const NO_BODY: Body = { kind: 'none' };

export function readBody(request: Request): Body | Promise<Body> {
  const stream = request.body;
  if (!stream) return NO_BODY;
  const length = Number(request.headers.get('content-length') ?? Number.NaN);
  if (length <= REPLAY_LIMIT_BYTES)
    return request.arrayBuffer().then((bytes) => ({ kind: 'buffered', bytes }));
  return { kind: 'stream', stream, used: false };
}

export const canSend = (body: Body): boolean => body.kind !== 'stream' || !body.used;

export function bodyInit(body: Body): ArrayBuffer | ReadableStream | null {
  if (body.kind === 'none') return null;
  if (body.kind === 'buffered') return body.bytes;
  body.used = true;
  return body.stream;
}
