import { ReplayStream } from './replay-stream.ts';

/** A request body that can be sent more than once, or not. */
export type RequestBody =
  | { kind: 'none' }
  | { kind: 'buffered'; bytes: ArrayBuffer }
  /** Of unknown length: sent as it comes, what has passed is kept as long as it fits. */
  | { kind: 'replayed'; replay: ReplayStream }
  /** Too long to keep: it can be sent once. */
  | { kind: 'stream'; stream: ReadableStream; bytes: number; used: boolean }
  /** The client stopped before it was whole. */
  | { kind: 'broken' };

export const REPLAY_LIMIT_BYTES = 64 * 1024;

const NO_BODY: RequestBody = { kind: 'none' };

export function readBody(request: Request): RequestBody | Promise<RequestBody> {
  const stream = request.body;
  if (!stream) return NO_BODY;
  const length = request.headers.get('content-length');
  // A GET that says so has a stream all the same, but must not be sent with one.
  if (length === '0') return NO_BODY;
  if (length === null) return { kind: 'replayed', replay: new ReplayStream(stream, REPLAY_LIMIT_BYTES) };
  if (Number(length) > REPLAY_LIMIT_BYTES)
    return { kind: 'stream', stream, bytes: Number(length), used: false };
  return request.arrayBuffer().then(
    (bytes) => ({ kind: 'buffered', bytes }),
    () => ({ kind: 'broken' }),
  );
}

/** A client that sends a long body slower than this is too slow: 64 KB a second. */
const MIN_UPLOAD_BYTES_PER_MS = 64;

/** Milliseconds that a client may take to send what is not in yet: they are not the instance's. */
export const uploadAllowanceMs = (body: RequestBody): number =>
  body.kind === 'stream' ? Math.ceil(body.bytes / MIN_UPLOAD_BYTES_PER_MS) : 0;

export function canSend(body: RequestBody): boolean {
  if (body.kind === 'replayed') return body.replay.canSend;
  return body.kind !== 'stream' || !body.used;
}

/** Whether the client broke it off, or is still to send the rest. Of a long one, which the runtime passes on, unknown. */
export function missingBodyPart(body: RequestBody): 'broken' | 'awaited' | null {
  if (body.kind === 'broken') return 'broken';
  if (body.kind !== 'replayed') return null;
  if (body.replay.isBroken) return 'broken';
  return body.replay.isAwaited ? 'awaited' : null;
}

/** `breakOff` ends the request it is sent with. */
export function bodyInit(body: RequestBody, breakOff: () => void): ArrayBuffer | ReadableStream | null {
  switch (body.kind) {
    case 'none':
    case 'broken':
      return null;
    case 'buffered':
      return body.bytes;
    case 'replayed':
      return body.replay.open(breakOff);
    case 'stream':
      body.used = true;
      return body.stream;
  }
}
