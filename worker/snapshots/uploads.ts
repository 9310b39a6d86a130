import { GrowingBuffer } from '../io/growing-buffer.ts';

/** The body of a `PUT` of a snapshot, or why it was not read. */
export type SnapshotUpload =
  | { ok: true; sealed: Uint8Array<ArrayBuffer> }
  | { ok: false; why: 'unknown-key' | 'too-large' | 'too-slow' | 'incomplete' | 'displaced' };

interface UploadRequest {
  readonly body: ReadableStream<Uint8Array> | null;
  /** Declared by the client. */
  readonly length: number;
  /** Whether the first line of a snapshot names a key that may sign it. */
  readonly isKnownKey: (firstLine: string) => boolean;
}

interface OpenUpload {
  /** Ends the upload, to make room for a newer one. */
  readonly displace: () => void;
}

/** `<kid>.<base64url signature>` is shorter. */
const MAX_FIRST_LINE_BYTES = 256;
/** The whole upload. An agent sends 2 MB in far less. */
const DEADLINE_MS = 10_000;
/** Of up to 2 MB each. An isolate has 128 MB. */
const MAX_OPEN = 8;

/**
 * Reads the uploads of snapshots. The signature can be verified only when the body is complete, so everything until then
 * is bounded: the number of uploads, their size and their time. When there are too many, the oldest one ends. An agent
 * needs less than a second, so the oldest one is not an agent's.
 */
export class SnapshotUploads {
  readonly #open = new Set<OpenUpload>();

  async read(request: UploadRequest): Promise<SnapshotUpload> {
    if (!request.body) return { ok: false, why: 'incomplete' };
    const ended = Promise.withResolvers<SnapshotUpload>();
    const upload: OpenUpload = { displace: () => ended.resolve({ ok: false, why: 'displaced' }) };
    const [oldest] = this.#open;
    if (oldest && this.#open.size >= MAX_OPEN) {
      this.#open.delete(oldest);
      oldest.displace();
    }
    this.#open.add(upload);
    const timer = setTimeout(() => ended.resolve({ ok: false, why: 'too-slow' }), DEADLINE_MS);
    const reader = request.body.getReader();
    try {
      const reading = readSealed(reader, request).catch((): SnapshotUpload => INCOMPLETE);
      return await Promise.race([reading, ended.promise]);
    } finally {
      clearTimeout(timer);
      this.#open.delete(upload);
      reader.cancel().catch(() => {});
    }
  }
}

const INCOMPLETE: SnapshotUpload = { ok: false, why: 'incomplete' };

async function readSealed(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { length, isKnownKey }: UploadRequest,
): Promise<SnapshotUpload> {
  const sealed = new GrowingBuffer(length);
  const refused = { ok: false, why: 'unknown-key' } as const;
  let line: string | null = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (value && !sealed.append(value)) return { ok: false, why: 'too-large' };
    line ??= firstLine(sealed.bytes, done);
    if (line !== null && !isKnownKey(line)) return refused;
    if (done) return sealed.isFull ? { ok: true, sealed: sealed.bytes } : INCOMPLETE;
  }
}

/** Null: it has not arrived. Empty: there is none. */
function firstLine(bytes: Uint8Array, isEnd: boolean): string | null {
  const newline = bytes.subarray(0, MAX_FIRST_LINE_BYTES).indexOf(10);
  if (newline >= 0) return new TextDecoder().decode(bytes.subarray(0, newline));
  return isEnd || bytes.length >= MAX_FIRST_LINE_BYTES ? '' : null;
}
