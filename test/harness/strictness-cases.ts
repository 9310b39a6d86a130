/**
 * What a client may send, as bytes, and what each end does with it. docs/security.md shows the same rows. The tests
 * compare both ends and the page with this list.
 */
export interface StrictnessCase {
  /** The first column in docs/security.md. */
  readonly name: string;
  readonly send: string;
  /** The status at the gateway and at the edge; 200 means that the instance received the request. */
  readonly gateway: number;
  readonly edge: number;
  /** The instance must not receive these bytes, in lower case. */
  readonly neverSent?: readonly string[];
}

const HOST = 'Host: x.example\r\n';
const get = (fields: string): string => `GET /p HTTP/1.1\r\n${HOST}${fields}\r\n`;
const post = (fields: string, body: string): string => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const withHost = (value: string): string => `GET /p HTTP/1.1\r\nHost: ${value}\r\n\r\n`;
const line = (target: string): string => `GET ${target} HTTP/1.1\r\n${HOST}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const HELLO = '5\r\nhello\r\n0\r\n\r\n';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: x.example\r\n\r\n';

const refused = (name: string, send: string, gateway = 400, edge = gateway): StrictnessCase => ({
  name,
  send,
  gateway,
  edge,
});
const removed = (name: string, send: string, ...neverSent: string[]): StrictnessCase => ({
  name,
  send,
  gateway: 200,
  edge: 200,
  neverSent,
});

export const HOST_CASES: readonly StrictnessCase[] = [
  refused('HTTP/1.1 without `Host`', 'GET /p HTTP/1.1\r\n\r\n'),
  refused('HTTP/1.0 without `Host`', 'GET /p HTTP/1.0\r\n\r\n'),
  refused('two `Host` fields', `GET /p HTTP/1.1\r\n${HOST}Host: y.example\r\n\r\n`),
  refused('`Host:` (empty)', withHost('')),
  refused('`Host: a/b`', withHost('a/b')),
  refused('`Host: x,internal.example`', withHost('x,internal.example')),
  refused('`Host: user@x`', withHost('user@x')),
  refused('`Host: %61.example`', withHost('%61.example')),
  refused('`Host: x:port`', withHost('x:port')),
  refused('`Host: x:` (an empty port)', withHost('x:')),
  refused('`Host` with bytes above 127', withHost('b\xc3\xbccher')),
];

export const LINE_CASES: readonly StrictnessCase[] = [
  refused('`OPTIONS *`', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`),
  refused('a `#` in the target', line('/p#f'), 400, 200),
  refused('a backslash in the path', line('/p\\q')),
  refused('`"`, `<`, `>`, `^`, `{` or `}` in the path', line('/p^q')),
  refused('`"`, `<` or `>` in the query', line('/p?"<>'), 200, 400),
  refused('an absolute target without a host', line('http:///p'), 200, 400),
  refused('bytes above 127 in the target', line('/p\xc3\xa9')),
  refused('a control byte in the target', line('/p\x01')),
  refused('`TRACE`', `TRACE /p HTTP/1.1\r\n${HOST}\r\n`, 405),
  refused('`CONNECT`', 'CONNECT x.example:80 HTTP/1.1\r\nHost: x.example:80\r\n\r\n', 405, 500),
  refused('a method in lower case', `get /p HTTP/1.1\r\n${HOST}\r\n`, 501),
  refused('a GET with a body', get('Content-Length: 2\r\n').concat('hi'), 200, 400),
];

export const FIELD_CASES: readonly StrictnessCase[] = [
  refused('NUL in a value', get('X-A: a\0b\r\n')),
  refused('another control byte in a value', get('X-A: a\x01b\r\n')),
  refused('DEL in a value', get('X-A: a\x7fb\r\n')),
  refused('CR in a value', get('X-A: a\rb\r\n')),
  refused('a blank before the colon', get('X-A : a\r\n')),
  refused('a folded value', get('X-A: a\r\n b\r\n'), 200, 400),
  removed(
    '`Connection: x-forwarded-for, x-secret`',
    get('Connection: x-forwarded-for, x-secret\r\nX-Secret: s3cret\r\n'),
    's3cret',
    'connection: x',
  ),
  removed(
    'hop-by-hop fields',
    get(
      'Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nProxy-Authorization: x\r\nTrailer: host\r\n',
    ),
    'keep-alive:',
    'proxy-connection',
    'te:',
    'proxy-authorization',
    'trailer',
  ),
  removed(
    '`Upgrade: h2c`',
    get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
    'upgrade',
    'http2-settings',
  ),
  removed('`Upgrade` with any other word', get('Connection: Upgrade\r\nUpgrade: foo\r\n'), 'upgrade'),
  removed(
    '`POST` with `Upgrade: websocket`',
    post('Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n', 'hi'),
    'upgrade',
    'get /',
  ),
  removed(
    '`X_Forwarded_Proto` and every name with `_`',
    get('X_Forwarded_Proto: https\r\nX_Forwarded_For: 10.0.0.1\r\nContent_Length: 7\r\n'),
    'x_forwarded',
    'content_length',
  ),
  removed(
    '`X-Original-URL`, `X-Rewrite-URL`, `X-Override-…`',
    get(
      'X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Original-Host: y\r\nX-Override-URL: /admin\r\n',
    ),
    'x-original',
    'x-rewrite',
    'x-override',
  ),
  removed(
    '`X-HTTP-Method-Override`, `X-HTTP-Method`, `X-Method-Override`',
    get('X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n'),
    'delete',
  ),
  removed(
    '`X-Forwarded-Port`, `-Prefix` and all but `-For`, `-Proto`, `-Host`',
    get('X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-Ssl: on\r\nFront-End-Https: on\r\n'),
    'x-forwarded-port',
    'x-forwarded-prefix',
    'x-forwarded-ssl',
    'front-end-https',
  ),
  removed(
    '`X-Real-IP`, `X-Client-IP`, `True-Client-IP`',
    get('X-Real-IP: 10.0.0.1\r\nX-Client-IP: 10.0.0.1\r\nTrue-Client-IP: 10.0.0.1\r\n'),
    '10.0.0.1',
  ),
  removed('`Proxy`', get('Proxy: http://evil.example\r\n'), 'evil'),
  removed(
    '`X-Accel-…`, `X-Sendfile-…`',
    get('X-Accel-Mapping: /=/\r\nX-Sendfile-Type: X-Accel-Redirect\r\n'),
    'x-accel',
    'x-sendfile',
  ),
];

export const BODY_CASES: readonly StrictnessCase[] = [
  refused('`Transfer-Encoding: chunked,`', post('Transfer-Encoding: chunked,\r\n', HELLO)),
  refused('two `Transfer-Encoding` fields', post(CHUNKED + CHUNKED, HELLO), 400, 200),
  refused(
    '`Transfer-Encoding: gzip, chunked`',
    post('Transfer-Encoding: gzip, chunked\r\n', HELLO),
    422,
    200,
  ),
  refused(
    '`Transfer-Encoding: identity`',
    post('Transfer-Encoding: identity\r\nContent-Length: 2\r\n', 'hi'),
  ),
  refused('`Transfer-Encoding: xchunked`', post('Transfer-Encoding: xchunked\r\n', HELLO)),
  refused('HTTP/1.0 with chunks', `POST /p HTTP/1.0\r\n${HOST}${CHUNKED}\r\n${HELLO}`),
  refused('two different `Content-Length`', post('Content-Length: 2\r\nContent-Length: 3\r\n', 'hi!')),
  refused('`Content-Length: 2, 2`', post('Content-Length: 2, 2\r\n', 'hi'), 200, 400),
  refused('`Content-Length: +2`', post('Content-Length: +2\r\n', 'hi')),
  refused('`Content-Length: -1`', post('Content-Length: -1\r\n', 'hi')),
  refused('`Content-Length:` (empty)', post('Content-Length:\r\n', 'hi')),
  refused('`Content-Length` of 2⁶⁴', post('Content-Length: 18446744073709551616\r\n', 'hi')),
  refused('a chunk of size `0x5`', post(CHUNKED, `0x5\r\nhello\r\n0\r\n\r\n`)),
  refused('a chunk size of 17 digits', post(CHUNKED, `fffffffffffffffff5\r\nhello\r\n0\r\n\r\n`)),
  refused('a bare LF in a chunk extension', post(CHUNKED, `5;a\nxx\r\nhello\r\n0\r\n\r\n`)),
  refused('chunks that end with a bare LF', post(CHUNKED, '5\nhello\n0\n\n'), 200, 400),
  removed(
    '`Content-Length` and chunks',
    post(`Content-Length: 4\r\n${CHUNKED}`, `0\r\n\r\n${SMUGGLED}`),
    'content-length: 4',
    '/smuggled',
  ),
];

export const STRICTNESS_CASES: readonly StrictnessCase[] = [
  ...HOST_CASES,
  ...LINE_CASES,
  ...FIELD_CASES,
  ...BODY_CASES,
];
