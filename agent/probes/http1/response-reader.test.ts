import { expect, test } from 'vitest';
import { HttpSyntaxError } from '../errors.ts';
import { ResponseReader } from './response-reader.ts';

interface ReadResult {
  status: number;
  ended: boolean;
  reusable: boolean;
  body: string;
}

/** Reads the text in pieces of `size` bytes, then the close of the connection if `closes`. */
function readIn(size: number, text: string, { method = 'GET', closes = false } = {}): ReadResult {
  const reader = new ResponseReader(method, true);
  const bytes = Buffer.from(text);
  for (let offset = 0; offset < bytes.length; offset += size) {
    // Overwrites the piece afterwards, like the shared buffer of the sockets.
    const piece = Buffer.from(bytes.subarray(offset, offset + size));
    reader.read(piece);
    piece.fill(0);
  }
  if (closes) reader.close();
  const { status, ended, reusable, body } = reader;
  return { status, ended, reusable, body };
}

/** The result, which must not depend on how the bytes arrive. */
function read(text: string, options = {}): ReadResult {
  const whole = readIn(1 << 20, text, options);
  for (const size of [1, 2, 3, 7]) expect(readIn(size, text, options)).toEqual(whole);
  return whole;
}

const OK = 'HTTP/1.1 200 OK\r\n';

test.each([
  ['a length', `${OK}Content-Length: 4\r\n\r\nfine`, 'fine'],
  ['the same length twice', `${OK}Content-Length: 2\r\ncontent-length: 2\r\n\r\nok`, 'ok'],
  ['no body', `${OK}Content-Length: 0\r\n\r\n`, ''],
  [
    'chunks with an extension and a trailer',
    `${OK}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nfin\r\nA\r\ne 12345678\r\n0\r\nX: y\r\n\r\n`,
    'fine 12345678',
  ],
  ['UTF-8', `${OK}Content-Length: 6\r\n\r\nété!`, 'été!'],
  ['no reason phrase', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', 'ok'],
  [
    'interim responses',
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    'ok',
  ],
])('%s: the response ends, and the connection stays', (_, text, body) => {
  expect(read(text)).toEqual({ status: 200, ended: true, reusable: true, body });
});

test('204, 304 and the response to HEAD have no body', () => {
  for (const status of [204, 304]) {
    const text = `HTTP/1.1 ${status} X\r\nContent-Length: 9\r\n\r\n`;
    expect(read(text)).toMatchObject({ status, ended: true, reusable: true });
  }
  expect(read(`${OK}Content-Length: 9\r\n\r\n`, { method: 'HEAD' })).toMatchObject({ ended: true });
  expect(read(`${OK}Transfer-Encoding: chunked\r\n\r\n`, { method: 'HEAD' })).toMatchObject({ ended: true });
});

test('a body without a length ends with the connection', () => {
  const text = `${OK}\r\nall of it`;
  expect(read(text)).toMatchObject({ ended: false });
  expect(read(text, { closes: true })).toMatchObject({ ended: true, reusable: false, body: 'all of it' });
  const short = `${OK}Content-Length: 9\r\n\r\nshort`;
  expect(read(short, { closes: true })).toMatchObject({ ended: false });
});

test('the connection is closed if the instance says so, or if it sent too much', () => {
  const body = 'Content-Length: 0\r\n\r\n';
  expect(read(`${OK}Connection: x, Close\r\n${body}`)).toMatchObject({ ended: true, reusable: false });
  expect(read(`HTTP/1.0 200 OK\r\n${body}`)).toMatchObject({ ended: true, reusable: false });
  expect(read(`HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${body}`)).toMatchObject({ reusable: true });
  expect(read(`HTTP/1.1 101 X\r\n\r\n`)).toMatchObject({ status: 101, ended: true, reusable: false });
  const reader = new ResponseReader('GET', false);
  reader.read(Buffer.from(`${OK}${body}${OK}`));
  expect(reader).toMatchObject({ ended: true, reusable: false });
});

test.each([
  ['SSH-2.0-OpenSSH_9.2\r\n', 'no status line'],
  ['HTTP/2.0 200 OK\r\n\r\n', 'no status line'],
  ['HTTP/1.1 20 OK\r\n\r\n', 'no status line'],
  [`${OK}Bad Name: x\r\n\r\n`, 'malformed header field'],
  [`${OK}X: a\r\n folded\r\n\r\n`, 'malformed header field'],
  [`${OK}X: a\nY: b\r\n\r\n`, 'malformed header field'],
  [`${OK}Content-Length: -1\r\n\r\n`, 'invalid Content-Length'],
  [`${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 'invalid Content-Length'],
  [`${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 'Transfer-Encoding together with'],
  ['HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'Transfer-Encoding together with'],
  [`${OK}Transfer-Encoding: chunked\r\n\r\n0x3\r\n`, 'no chunk size'],
  [`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`, 'chunk longer than its size'],
  [`${OK}Transfer-Encoding: chunked\r\n\r\n1\na\r\n`, 'without CR LF'],
  [`${OK}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(5_000)}`, 'line too long'],
  [`${OK}X: ${'x'.repeat(40_000)}`, 'head larger'],
])('%j is not HTTP', (text, message) => {
  for (const size of [1, 3, 1 << 20]) {
    expect(() => readIn(size, text)).toThrow(HttpSyntaxError);
    expect(() => readIn(size, text)).toThrow(message);
  }
});
