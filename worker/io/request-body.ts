import { ReplayStream } from './replay-stream.ts';

/** A client's request body. `kind` says how often it can be sent. */
export type RequestBody =
  | { kind: 'none' }
  | { kind: 'buffered'; bytes: ArrayBuffer }
  /** Of unknown length: streamed, and kept for a retry up to the limit. */
  | { kind: 'replayed'; replay: ReplayStream }
  /** Too long to keep: can be sent once. */
  | { kind: 'stream'; stream: ReadableStream; bytes: number; used: boolean }
  /** The client stopped before the end. */
  | { kind: 'broken' };

const REPLAY_LIMIT_BYTES = 64 * 1024;

const NO_BODY: RequestBody = { kind: 'none' };

export function readBody(request: Request): RequestBody | Promise<RequestBody> {
  const stream = request.body;
  if (!stream) return NO_BODY;
  const length = request.headers.get('content-length');
  // A GET with this header has a stream nevertheless, and must be sent without one.
  if (length === '0') return NO_BODY;
  if (length === null) return { kind: 'replayed', replay: new ReplayStream(stream, REPLAY_LIMIT_BYTES) };
  if (Number(length) > REPLAY_LIMIT_BYTES)
    return { kind: 'stream', stream, bytes: Number(length), used: false };
  return request.arrayBuffer().then(
    (bytes) => ({ kind: 'buffered', bytes }),
    () => ({ kind: 'broken' }),
  );
}

/** A client may send a long body no slower than this: 64 KB per second. */
const MIN_UPLOAD_BYTES_PER_MS = 64;

/** Added to the attempt's timeout: the time a client may take to send a long body. */
export const uploadAllowanceMs = (body: RequestBody): number =>
  body.kind === 'stream' ? Math.ceil(body.bytes / MIN_UPLOAD_BYTES_PER_MS) : 0;

export function canSend(body: RequestBody): boolean {
  if (body.kind === 'replayed') return body.replay.canSend;
  return body.kind !== 'stream' || !body.used;
}

/** What the client has not sent: `broken`, it stopped early; `awaited`, the rest is due. Unknown for a long body. */
export function missingBodyPart(body: RequestBody): 'broken' | 'awaited' | null {
  if (body.kind === 'broken') return 'broken';
  if (body.kind !== 'replayed') return null;
  if (body.replay.isBroken) return 'broken';
  return body.replay.isReadPending ? 'awaited' : null;
}

/** The body to pass to `fetch`. `abort` must abort that fetch. */
export function bodyInit(body: RequestBody, abort: () => void): ArrayBuffer | ReadableStream | null {
  switch (body.kind) {
    case 'none':
    case 'broken':
      return null;
    case 'buffered':
      return body.bytes;
    case 'replayed':
      return body.replay.open(abort);
    case 'stream':
      body.used = true;
      return body.stream;
  }
}
