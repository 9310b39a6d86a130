import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';

/** HTTP/2 by its frames (RFC 9113 §4), for requests that a library refuses to send. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const HEADER_BYTES = 9;

export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Fields in the order of the request, with pseudo-fields wherever the case puts them. */
export type RawFields = readonly (readonly [name: string, value: string])[];

/** HPACK without its table and without Huffman codes (RFC 7541 §6.2.2). */
export const encodeFields = (fields: RawFields): Buffer =>
  Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), encodeString(name), encodeString(value)]),
  );

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const length: number[] = [];
  if (bytes.length < 0x7f) length.push(bytes.length);
  else {
    length.push(0x7f);
    let rest = bytes.length - 0x7f;
    for (; rest >= 0x80; rest >>= 7) length.push((rest & 0x7f) | 0x80);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A client that sends frames as they are. */
export interface Http2Connection {
  readonly frames: readonly Http2Frame[];
  readonly isClosed: boolean;
  send(...frames: Buffer[]): void;
  /** Status of the answer, `reset` or `closed`; `none` when nothing arrives for a while. */
  outcome(stream: number, quietMs?: number): Promise<string>;
  close(): void;
}

export async function connectHttp2(url: string): Promise<Http2Connection> {
  const { hostname, port } = new URL(url);
  const socket = connectTls({
    host: hostname,
    port: Number(port),
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  await once(socket, 'secureConnect');
  if (socket.alpnProtocol !== 'h2') throw new Error('the server does not offer HTTP/2');
  socket.write(Buffer.concat([Buffer.from(PREFACE), frame(FRAME.settings, 0, 0)]));
  return overSocket(socket);
}

function overSocket(socket: TLSSocket): Http2Connection {
  const frames: Http2Frame[] = [];
  let buffered = Buffer.alloc(0);
  let isClosed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    for (let one = firstFrame(buffered); one; one = firstFrame(buffered)) {
      frames.push(one);
      buffered = buffered.subarray(HEADER_BYTES + one.payload.length);
    }
  });
  return {
    frames,
    get isClosed() {
      return isClosed;
    },
    send: (...sent) => {
      if (!isClosed) socket.write(Buffer.concat(sent));
    },
    async outcome(stream, quietMs = 5_000) {
      for (const until = Date.now() + quietMs; Date.now() < until; await sleep(5)) {
        const ended = frames.map((one) => ending(one, stream)).find((text) => text !== null);
        if (ended) return ended;
        if (isClosed) return 'closed';
      }
      return 'none';
    },
    close: () => socket.destroy(),
  };
}

function firstFrame(bytes: Buffer): Http2Frame | null {
  if (bytes.length < HEADER_BYTES) return null;
  const length = bytes.readUIntBE(0, 3);
  if (bytes.length < HEADER_BYTES + length) return null;
  return {
    type: bytes[3] ?? 0,
    flags: bytes[4] ?? 0,
    stream: bytes.readUInt32BE(5) & 0x7fff_ffff,
    payload: bytes.subarray(HEADER_BYTES, HEADER_BYTES + length),
  };
}

/** How a frame ends a request, or null. */
function ending({ type, stream: of, payload }: Http2Frame, stream: number): string | null {
  if (type === FRAME.goAway) return 'closed';
  if (of !== stream) return null;
  if (type === FRAME.reset) return 'reset';
  return type === FRAME.headers ? statusOf(payload) : null;
}

const INDEXED_STATUS = new Map([
  [0x88, '200'],
  [0x89, '204'],
  [0x8a, '206'],
  [0x8b, '304'],
  [0x8c, '400'],
  [0x8d, '404'],
  [0x8e, '500'],
]);

/** The status comes first: an index into HPACK's static table, or three digits after the index of its name. */
const statusOf = (block: Buffer): string =>
  INDEXED_STATUS.get(block[0] ?? 0) ?? block.subarray(2, 5).toString('latin1');
