/**
 * HAProxy's check of a gRPC server. `http-check` cannot send the null bytes of a gRPC message. So HAProxy sends the
 * bytes of an HTTP/2 connection with one call of grpc.health.v1.Health/Check, in hexadecimal (RFC 9113, RFC 7541).
 */

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const DATA = 0x0;
const HEADERS = 0x1;
const SETTINGS = 0x4;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;

/** Indexes of the static table of HPACK. */
const METHOD_POST = 0x83;
const SCHEME = { http: 0x86, https: 0x87 };
const NAME = { authority: [0x01], path: [0x04], contentType: [0x0f, 0x10], userAgent: [0x0f, 0x2b] };
const NEW_NAME = [0x00];

/** Any answer: a message of two bytes, the tag of the field and the status. They may arrive in two frames. */
export const GRPC_ANSWER = '0000000002(.{18})?08..';
/** The answer of a server with the status SERVING. */
export const GRPC_SERVING = '0000000002(.{18})?0801';

export function grpcCheckBytes({ host, secure }: { host: string; secure: boolean }): string {
  const fields = Buffer.concat([
    Buffer.from([METHOD_POST, secure ? SCHEME.https : SCHEME.http]),
    field(NAME.path, '/grpc.health.v1.Health/Check'),
    field(NAME.authority, host),
    field(NAME.contentType, 'application/grpc'),
    field(NAME.userAgent, 'acgs-lb-haproxy'),
    field(NEW_NAME, 'te', 'trailers'),
  ]);
  const emptyMessage = Buffer.alloc(5);
  return Buffer.concat([
    PREFACE,
    frame({ type: SETTINGS, flags: 0, stream: 0, payload: Buffer.alloc(0) }),
    frame({ type: HEADERS, flags: END_HEADERS, stream: 1, payload: fields }),
    frame({ type: DATA, flags: END_STREAM, stream: 1, payload: emptyMessage }),
  ]).toString('hex');
}

/** A literal field without indexing. `texts` holds its value, or a new name and its value. */
const field = (name: readonly number[], ...texts: string[]): Buffer =>
  Buffer.concat([Buffer.from(name), ...texts.map(text)]);

/** A string without Huffman code. Its length has one byte up to 126; a host name has at most 253. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = bytes.length < 127 ? [bytes.length] : [127, ...rest(bytes.length - 127)];
  return Buffer.concat([Buffer.from(length), bytes]);
}

const rest = (length: number): number[] =>
  length < 128 ? [length] : [(length & 127) | 128, ...rest(length >> 7)];

function frame({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}
