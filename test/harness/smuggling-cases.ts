/**
 * Requests that two HTTP parsers may divide differently (RFC 9112 §11.2). Each one hides `GET /admin`, which an
 * access rule denies. However the parsers divide the bytes, an instance must not see it.
 */
export interface SmugglingCase {
  readonly name: string;
  readonly send: string;
  /** For every parser that accepts the bytes they are two requests, so only the access rule keeps out the second one. */
  readonly isPipeline: boolean;
}

/** The body, if any, ends before the hidden request by every reading. */
const PIPELINES = new Set([
  '"Transfer_Encoding: chunked\\r\\n" and a short Content-Length',
  'empty lines before',
  'two blanks in the request line',
  'another host in the target',
]);

const HOST = 'Host: x.example\r\n';
const HIDDEN = `GET /admin HTTP/1.1\r\n${HOST}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
/** A whole chunked body, and the hidden request behind it. */
const AFTER_CHUNKS = `0\r\n\r\n${HIDDEN}`;
/** The hidden request as the content of one chunk. */
const IN_CHUNK = `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`;

const post = (fields: string, body: string): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;

/** `Content-Length` covers the hidden request, chunks do not, and the other way round. */
const bothLengths = (transferEncoding: string): Omit<SmugglingCase, 'isPipeline'>[] => {
  const shown = JSON.stringify(transferEncoding);
  return [
    {
      name: `${shown} and a Content-Length over all`,
      send: post(`Content-Length: ${AFTER_CHUNKS.length}\r\n${transferEncoding}`, AFTER_CHUNKS),
    },
    {
      name: `${shown} and a short Content-Length`,
      send: post(`${transferEncoding}Content-Length: 4\r\n`, IN_CHUNK),
    },
  ];
};

const TRANSFER_ENCODINGS = [
  CHUNKED,
  'Transfer-Encoding : chunked\r\n',
  ' Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Transfer-Encoding: \x0cchunked\r\n',
  'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer-Encoding\r\n: chunked\r\n',
  'Transfer-Encoding: "chunked"\r\n',
  'Transfer-Encoding: chunked;q=1\r\n',
  'Transfer-Encoding: identity, chunked\r\n',
  'Transfer-Encoding: chunked, identity\r\n',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n',
  'X: y\nTransfer-Encoding: chunked\r\n',
  'X: y\rTransfer-Encoding: chunked\r\n',
  'Transfer_Encoding: chunked\r\n',
  'Transfer-Encoding\0: chunked\r\n',
  'Transfer-Encoding: chunked\0\r\n',
  'Transfer-Encoding: chun\xa0ked\r\n',
  'Connection: content-length\r\nTransfer-Encoding: chunked\r\n',
  'Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n',
];

const LENGTHS = [
  'Content-Length: 0x10',
  'Content-Length: 1 6',
  'Content-Length: 0,16',
  'Content-Length: 0\r\nContent-Length: 16',
  'Content-Length : 16',
  'Content-Length:\r\n 16',
  'Content-Length: 16\0',
  'Content-Length: 1e1',
  'Content-Length: 18446744073709551616',
  'Content-Length\t: 16',
  'Connection: content-length\r\nContent-Length: 16',
];

const CHUNKS = [
  `+0\r\n\r\n`,
  `-0\r\n\r\n`,
  `0 \r\n\r\n`,
  `0\t\r\n\r\n`,
  `0x0\r\n\r\n`,
  `0;\r\n\r\n`,
  `0;a="\r\n\r\n"\r\n\r\n`,
  `0\n\r\n`,
  `0\r\n\n`,
  `0\r\r\n\r\n`,
  `\r\n0\r\n\r\n`,
  `2\r\nabX\r\n0\r\n\r\n`,
  `2\r\nab0\r\n\r\n`,
  `10000000000000000\r\n\r\n0\r\n\r\n`,
  `0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n`,
  `0\r\nTransfer-Encoding: chunked\r\nHost: internal.example\r\n\r\n`,
];

const LINES = [
  ['empty lines before', `\r\n\r\n\r\n${post('Content-Length: 0\r\n', '')}`],
  ['fields that end with a bare LF', `POST /p HTTP/1.1\nHost: x.example\nContent-Length: 0\n\n`],
  ['fields that end with a bare CR', `POST /p HTTP/1.1\rHost: x.example\rContent-Length: 0\r\r`],
  ['HTTP/0.9', 'GET /p\r\n'],
  ['HTTP/1.10', `GET /p HTTP/1.10\r\n${HOST}\r\n`],
  ['HTTP/2.0', `GET /p HTTP/2.0\r\n${HOST}\r\n`],
  ['two blanks in the request line', `GET  /p  HTTP/1.1\r\n${HOST}\r\n`],
  ['a second request line in the target', `GET /p HTTP/1.1\r\nGET /admin HTTP/1.1\r\n${HOST}\r\n`],
  ['a field without a colon', `GET /p HTTP/1.1\r\n${HOST}Nonsense\r\n\r\n`],
  ['a field without a name', `GET /p HTTP/1.1\r\n${HOST}: x\r\n\r\n`],
  ['another host in the target', `GET http://internal.example/p HTTP/1.1\r\n${HOST}\r\n`],
  ['HEAD with a body', `HEAD /p HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n`],
  ['GET with a body', `GET /p HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n`],
  ['Expect: 100-continue', post(`Expect: 100-continue\r\nContent-Length: ${HIDDEN.length}\r\n`, '')],
  ['an unknown Expect', post(`Expect: x\r\nContent-Length: ${HIDDEN.length}\r\n`, '')],
  [
    'an upgrade with a body',
    `GET /p HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  ],
] as const;

const CASES: readonly Omit<SmugglingCase, 'isPipeline'>[] = [
  ...TRANSFER_ENCODINGS.flatMap(bothLengths),
  ...LENGTHS.map((field) => ({ name: JSON.stringify(field), send: post(`${field}\r\n`, HIDDEN) })),
  ...CHUNKS.map((chunks) => ({
    name: `chunks ${JSON.stringify(chunks)}`,
    send: post(CHUNKED, chunks + HIDDEN),
  })),
  ...LINES.map(([name, lines]) => ({ name, send: lines + HIDDEN })),
];

export const SMUGGLING_CASES: readonly SmugglingCase[] = CASES.map((one) => ({
  ...one,
  isPipeline: PIPELINES.has(one.name),
}));
