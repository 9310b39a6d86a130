import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../dev/ports.ts';
import { makeCertificates } from '../harness/certificates.ts';
import {
  connectHttp2,
  encodeFields,
  FLAG,
  FRAME,
  frame,
  type Http2Connection,
  type RawFields,
} from '../harness/http2-frames.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startBeforeTests, startHaproxyHarness } from './haproxy-harness.ts';

/** HTTP/2 requests that no library sends, as frames at the gateway, and what the instances receive of them. */

let url: string;
let one: RecordingInstance;
/** Serves the host `internal.example` alone. */
let internal: RecordingInstance;

startBeforeTests(async () => {
  [one, internal] = await Promise.all([startRecordingInstance('one'), startRecordingInstance('internal')]);
  releaseAfterTests(one.stop);
  releaseAfterTests(internal.stop);
  const { server, remove } = makeCertificates('client');
  const port = await freePort();
  const pem = join(server.cert, '..', 'both.pem');
  writeFileSync(pem, readFileSync(server.cert, 'utf8') + readFileSync(server.key, 'utf8'));
  releaseAfterTests(async () => remove());
  await startHaproxyHarness({
    services: `a:
  routes: [/]
  access: [ { path: /admin, allow: [10.0.0.0/8] } ]
  instances: [ { id: a-1, url: "${one.url}" } ]
internal:
  routes: [/]
  hosts: [internal.example]
  instances: [ { id: i-1, url: "${internal.url}" } ]`,
    idleTimeout: '3s',
    haproxy: `rateLimit: off, tls: { crt: ${pem}, bind: ["127.0.0.1:${port}"] }`,
  });
  url = `https://127.0.0.1:${port}`;
});

interface Http2Case {
  readonly name: string;
  /** Null leaves out a pseudo-field. */
  readonly pseudo?: Readonly<Record<string, string | null>>;
  readonly fields?: RawFields;
  readonly before?: RawFields;
  readonly body?: string;
  readonly outcome: string;
}

const HIDDEN = 'GET /admin HTTP/1.1\r\nHost: internal.example\r\n\r\n';
const post = { ':method': 'POST' };

/** `reset`: HAProxy's own parser ends the stream. */
const REFUSED: readonly Http2Case[] = [
  { name: 'no :method', pseudo: { ':method': null }, outcome: 'reset' },
  { name: 'no :path', pseudo: { ':path': null }, outcome: 'reset' },
  { name: 'no :scheme', pseudo: { ':scheme': null }, outcome: 'reset' },
  { name: 'neither :authority nor Host', pseudo: { ':authority': null }, outcome: '400' },
  { name: 'an empty :authority', pseudo: { ':authority': '' }, outcome: '400' },
  {
    name: 'an empty :authority and a Host',
    pseudo: { ':authority': '' },
    fields: [['host', 'internal.example']],
    outcome: '400',
  },
  { name: 'two :path', fields: [[':path', '/admin']], outcome: 'reset' },
  { name: 'two :authority', fields: [[':authority', 'internal.example']], outcome: 'reset' },
  { name: 'a field before the pseudo-fields', before: [['host', 'internal.example']], outcome: 'reset' },
  { name: 'an unknown pseudo-field', pseudo: { ':foo': 'x' }, outcome: 'reset' },
  { name: 'a request line in :path', pseudo: { ':path': `/p HTTP/1.1\r\n\r\n${HIDDEN}` }, outcome: 'reset' },
  { name: 'a blank in :path', pseudo: { ':path': '/p HTTP/1.1' }, outcome: 'reset' },
  { name: 'a # in :path', pseudo: { ':path': '/p#f' }, outcome: 'reset' },
  { name: 'DEL in :path', pseudo: { ':path': '/p\x7f' }, outcome: '400' },
  { name: 'a byte above 127 in :path', pseudo: { ':path': '/p\xe9' }, outcome: '400' },
  { name: 'a backslash in :path', pseudo: { ':path': '/x\\..\\admin' }, outcome: '400' },
  { name: ':path without a slash', pseudo: { ':path': 'p' }, outcome: 'reset' },
  { name: 'a URL as :path', pseudo: { ':path': 'http://internal.example/p' }, outcome: 'reset' },
  { name: 'OPTIONS *', pseudo: { ':method': 'OPTIONS', ':path': '*' }, outcome: '400' },
  { name: 'dot segments', pseudo: { ':path': '/x/../admin' }, outcome: '400' },
  { name: 'a blank in :method', pseudo: { ':method': 'GET /admin' }, outcome: '400' },
  { name: 'a request in :method', pseudo: { ':method': `${HIDDEN}GET` }, outcome: 'reset' },
  { name: 'a URL in :scheme', pseudo: { ':scheme': 'http://internal.example/admin?' }, outcome: '400' },
  { name: 'CR LF in :scheme', pseudo: { ':scheme': 'http\r\n' }, outcome: 'reset' },
  { name: 'userinfo in :authority', pseudo: { ':authority': 'x@internal.example' }, outcome: '400' },
  { name: 'a path in :authority', pseudo: { ':authority': 'x.example/y' }, outcome: '400' },
  { name: 'CR LF in :authority', pseudo: { ':authority': 'x.example\r\nX-A: b' }, outcome: 'reset' },
  { name: 'a name in upper case', fields: [['X-Upper', '1']], outcome: 'reset' },
  { name: 'a colon in a name', fields: [['x:a', '1']], outcome: 'reset' },
  { name: 'a blank in a name', fields: [['x a', '1']], outcome: 'reset' },
  { name: 'CR LF in a name', fields: [['x-a: 1\r\nx-b', '1']], outcome: 'reset' },
  { name: 'NUL in a name', fields: [['x\0a', '1']], outcome: 'reset' },
  { name: 'an empty name', fields: [['', '1']], outcome: 'closed' },
  { name: 'CR LF in a value', fields: [['x-a', '1\r\nx-b: 2']], outcome: 'reset' },
  { name: 'NUL in a value', fields: [['x-a', '1\0']], outcome: 'reset' },
  { name: 'a control byte in a value', fields: [['x-a', '1\x01']], outcome: '400' },
  { name: 'Connection', fields: [['connection', 'x-forwarded-for']], outcome: 'reset' },
  { name: 'Upgrade', fields: [['upgrade', 'websocket']], outcome: 'reset' },
  { name: 'TE with another word than trailers', fields: [['te', 'gzip']], outcome: 'reset' },
  {
    name: 'Transfer-Encoding',
    pseudo: post,
    fields: [['transfer-encoding', 'chunked']],
    body: `0\r\n\r\n${HIDDEN}`,
    outcome: 'reset',
  },
  {
    name: 'a Content-Length that is too short',
    pseudo: post,
    fields: [['content-length', '0']],
    body: HIDDEN,
    outcome: 'reset',
  },
  {
    name: 'a Content-Length that is too long',
    pseudo: post,
    fields: [['content-length', '50']],
    body: 'hello',
    outcome: 'reset',
  },
  {
    name: 'two different Content-Length',
    pseudo: post,
    fields: [
      ['content-length', '5'],
      ['content-length', '6'],
    ],
    body: 'hello',
    outcome: 'reset',
  },
  {
    name: 'Content-Length: +5',
    pseudo: post,
    fields: [['content-length', '+5']],
    body: 'hello',
    outcome: 'reset',
  },
  { name: 'a forged envelope', fields: [['x-acgs-edge', 'a.b.c;192.0.2.1']], outcome: '401' },
];

const PSEUDO = { ':method': 'GET', ':scheme': 'https', ':authority': 'x.example', ':path': '/p' };

function headerBlock({ pseudo, before = [], fields = [] }: Omit<Http2Case, 'name' | 'outcome'>): Buffer {
  const all: Record<string, string | null> = { ...PSEUDO, ...pseudo };
  const present = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null);
  return encodeFields([...before, ...present, ...fields]);
}

async function withConnection<T>(use: (connection: Http2Connection) => Promise<T>): Promise<T> {
  one.forget();
  internal.forget();
  const connection = await connectHttp2(url);
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

/** Sends one request on its own connection. */
const send = (request: Omit<Http2Case, 'name' | 'outcome'>): Promise<string> =>
  withConnection((connection) => {
    const { body } = request;
    const flags = FLAG.endHeaders | (body === undefined ? FLAG.endStream : 0);
    connection.send(frame(FRAME.headers, flags, 1, headerBlock(request)));
    if (body !== undefined) connection.send(frame(FRAME.data, FLAG.endStream, 1, Buffer.from(body)));
    return connection.outcome(1);
  });

test.each(REFUSED)('refused: $name', async ({ outcome, ...request }) => {
  expect(await send(request)).toBe(outcome);
  // A POST with an invalid body may have reached the instance as an incomplete request.
  expect([...one.requests, ...internal.requests]).toEqual([]);
  expect(one.bytes() + internal.bytes()).not.toMatch(/admin|x-b: 2|x-upper/i);
});

test(':authority decides the service, and Host cannot change it', async () => {
  expect(await send({ fields: [['host', 'internal.example']] })).toBe('200');
  expect(internal.requests).toEqual([]);
  expect(one.requests.map(({ headers }) => headers.host)).toEqual(['x.example']);
  expect(one.bytes()).not.toContain('internal');
  expect(await send({ pseudo: { ':authority': 'INTERNAL.example:443' } })).toBe('200');
  expect([one.requests.length, internal.requests.length]).toEqual([0, 1]);
});

test('an instance sees a body behind a GET as a body', async () => {
  expect(await send({ body: HIDDEN })).toBe('200');
  expect(one.requests.map(({ url: path, body }) => [path, body])).toEqual([['/p', HIDDEN]]);
});

test('header fields in endless CONTINUATION frames end the connection', async () => {
  await withConnection(async (connection) => {
    connection.send(frame(FRAME.headers, FLAG.endStream, 1, headerBlock({})));
    const more = frame(FRAME.continuation, 0, 1, encodeFields([['x-a', 'y'.repeat(10_000)]]));
    for (let i = 0; i < 20; i++) connection.send(more);
    expect(await connection.outcome(1)).toBe('closed');
    expect(one.bytes()).toBe('');
  });
});

test('a small header block that expands to megabytes ends the connection', async () => {
  await withConnection(async (connection) => {
    // One field of 4 KB goes into the dynamic table; each further byte repeats it.
    const value = Buffer.alloc(4_000, 'z');
    const length = value.length - 0x7f;
    const literal = Buffer.from([0x40, 3, 0x78, 0x2d, 0x61, 0x7f, (length & 0x7f) | 0x80, length >> 7]);
    const block = Buffer.concat([headerBlock({}), literal, value, Buffer.alloc(8_000, 0xbe)]);
    connection.send(frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, 1, block));
    expect(await connection.outcome(1)).toBe('closed');
    expect(one.bytes()).toBe('');
  });
});

test('requests that are reset at once leave the gateway in service', async () => {
  await withConnection(async (connection) => {
    const block = headerBlock({});
    const cancel = Buffer.from([0, 0, 0, 8]);
    const RESETS = 2_000;
    for (let i = 0; i < RESETS; i++) {
      const stream = 2 * i + 1;
      connection.send(
        frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, stream, block),
        frame(FRAME.reset, 0, stream, cancel),
      );
    }
    const last = 2 * RESETS + 1;
    connection.send(frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, last, block));
    expect(await connection.outcome(last, 30_000)).toBe('200');
  });
  expect(await send({})).toBe('200');
});

test('PING frames do not keep a connection open whose client receives nothing', async () => {
  one.answer((_, response) => response.end('x'.repeat(500_000)));
  await withConnection(async (connection) => {
    const noWindow = Buffer.from([0, 4, 0, 0, 0, 0]);
    connection.send(
      frame(FRAME.settings, 0, 0, noWindow),
      frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, 1, headerBlock({})),
    );
    const closed = async () => {
      connection.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
      return connection.isClosed;
    };
    expect(await until(closed)).toBe(true);
  });
});
