import type { IncomingRequest } from '../incoming-request.ts';
import type { SlowUploads } from './slow-uploads.ts';
import { Upload, type UploadFailure } from './upload.ts';

/** A client's request body. `kind` says how often it can be sent. */
export type RequestBody =
  | { kind: 'none' }
  | { kind: 'buffered'; bytes: Uint8Array<ArrayBuffer> }
  /** Too long to keep: can be sent once. `length` is null when it is unknown. */
  | { kind: 'stream'; upload: Upload; length: number | null; used: boolean }
  /** It did not arrive, so there is nothing to send. */
  | { kind: 'failed'; failure: UploadFailure };

const NO_BODY: RequestBody = { kind: 'none' };

/** Waits for a whole short body, and for the start of a long one: until then no instance is kept busy. */
export function readBody(
  { request, method, clientKey }: Pick<IncomingRequest, 'request' | 'method' | 'clientKey'>,
  { slowUploads, now }: { slowUploads: SlowUploads; now: () => number },
): RequestBody | Promise<RequestBody> {
  // `handle` refuses a GET or HEAD with a body.
  if (method === 'GET' || method === 'HEAD') return NO_BODY;
  const stream = request.body;
  if (!stream) return NO_BODY;
  const declared = request.headers.get('content-length');
  // The runtime makes a stream even of an empty body.
  if (declared === '0') return NO_BODY;
  const length = declared === null ? null : Number(declared);
  const upload = new Upload(stream, { client: clientKey, length, slowUploads, now });
  return upload.readPrefix().then((bytes) => {
    if (upload.failure) return { kind: 'failed', failure: upload.failure };
    return bytes ? { kind: 'buffered', bytes } : { kind: 'stream', upload, length, used: false };
  });
}

/** When an attempt times out, epoch ms. The time in which the client sends a long body does not count. */
export const timesOutAt = (body: RequestBody, startedAt: number, timeoutMs: number): number =>
  body.kind === 'stream' ? body.upload.timesOutAt(startedAt, timeoutMs) : startedAt + timeoutMs;

export const canSend = (body: RequestBody): boolean => body.kind !== 'stream' || !body.used;

/** What the client has not sent: a failure, or `awaited`, the rest is due. */
export function missingBodyPart(body: RequestBody): UploadFailure | 'awaited' | null {
  if (body.kind === 'failed') return body.failure;
  if (body.kind !== 'stream') return null;
  return body.upload.failure ?? (body.upload.isReadPending ? 'awaited' : null);
}

/** The body to pass to `fetch`. `abort` must abort that fetch. */
export function bodyInit(
  body: RequestBody,
  abort: () => void,
): Uint8Array<ArrayBuffer> | ReadableStream | null {
  switch (body.kind) {
    case 'none':
    case 'failed':
      return null;
    case 'buffered':
      return body.bytes;
    case 'stream':
      body.used = true;
      return body.upload.open(abort);
  }
}

/** The response. An early refusal ends after the client has sent the body. */
export const untilSent = (body: RequestBody, response: Response): Response =>
  body.kind === 'stream' ? body.upload.untilSent(response) : response;
