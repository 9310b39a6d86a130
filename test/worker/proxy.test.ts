import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { headerValues, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';

/** RFC 9110 and 9112 for intermediaries, byte by byte: the origin and the client here are bare TCP. */

let edge: TestEdge;
let origin: RawOrigin;

beforeAll(async () => {
  [edge, origin] = await Promise.all([startEdge(), startRawOrigin()]);
  const published = await edge.publish({
    services: { gs: service({ path: 'direct', instances: [instance('raw-1', origin.url)] }) },
  });
  expect(published.status).toBe(200);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function seenFor(requestHead: string): Promise<string> {
  origin.onRequest((socket) => socket.write(OK));
  await rawExchange(edge.url, requestHead, /ok$/);
  return origin.heads.at(-1) ?? '';
}

test('the request line and end-to-end fields go on byte for byte', async () => {
  const head = await seenFor(
    'GET /a%2Fb//c?q=%20a+b&c=%zz&d=|{}&&e HTTP/1.1\r\nHost: www.example\r\nX-Twice: 1\r\nX-Twice: 2\r\nCookie: a=1; b=2\r\nAuthorization: Bearer t\r\nAccept-Encoding: br;q=0.1\r\nIf-None-Match: W/"x"\r\n\r\n',
  );
  expect(head.split('\r\n')[0]).toBe('GET /a%2Fb//c?q=%20a+b&c=%zz&d=|{}&&e HTTP/1.1');
  expect(headerValues(head, 'x-twice').join(', ')).toBe('1, 2');
  expect(headerValues(head, 'cookie')).toEqual(['a=1; b=2']);
  expect(headerValues(head, 'authorization')).toEqual(['Bearer t']);
  expect(headerValues(head, 'accept-encoding')).toEqual(['br;q=0.1']);
  expect(headerValues(head, 'if-none-match')).toEqual(['W/"x"']);
});

test('hop-by-hop fields, those Connection lists, and the edge’s own names stay behind', async () => {
  const head = await seenFor(
    'GET / HTTP/1.1\r\nHost: www.example\r\nConnection: keep-alive, X-Hop, no token\r\nKeep-Alive: timeout=5\r\nX-Hop: secret\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nX-Acgs-Edge: forged\r\nX-Acgs-Client: 10.0.0.1\r\nX-ACGS-Anything: 1\r\n\r\n',
  );
  for (const name of ['keep-alive', 'x-hop', 'te', 'proxy-connection', 'proxy-authorization', 'upgrade']) {
    expect(headerValues(head, name), name).toEqual([]);
  }
  expect(head.toLowerCase()).not.toContain('x-acgs-');
});

test('a client cannot have end-to-end fields dropped by listing them in Connection', async () => {
  const head = await seenFor(
    'GET / HTTP/1.1\r\nHost: www.example\r\nConnection: authorization, x-forwarded-for, cookie\r\nAuthorization: Bearer t\r\nCookie: a=1\r\n\r\n',
  );
  expect(headerValues(head, 'authorization')).toEqual(['Bearer t']);
  expect(headerValues(head, 'cookie')).toEqual(['a=1']);
  expect(headerValues(head, 'x-forwarded-for')).toEqual(['127.0.0.1']);
});

test('forwarding fields are appended to, the client’s address last; Host travels in X-Forwarded-Host', async () => {
  const head = await seenFor(
    'GET / HTTP/1.1\r\nHost: www.example\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 before\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nx-acgs-sim-client: 203.0.113.9\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n',
  );
  expect(headerValues(head, 'x-forwarded-for').join(', ')).toBe('6.6.6.6, 203.0.113.9');
  expect(headerValues(head, 'forwarded').join(', ')).toBe(
    'for=6.6.6.6, for=203.0.113.9;host="www.example";proto=http',
  );
  expect(headerValues(head, 'via').join(', ')).toBe('1.0 before, 1.1 acgs-lb');
  expect(headerValues(head, 'x-forwarded-proto')).toEqual(['http']);
  expect(headerValues(head, 'x-forwarded-host')).toEqual(['www.example']);
  expect(headerValues(head, 'host')).toEqual([new URL(origin.url).host]);
  expect(headerValues(head, 'traceparent')).toEqual([
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ]);
});

test('the answer keeps repeated Set-Cookie, odd fields and its status text; loses hop-by-hop ones', async () => {
  origin.onRequest((socket) =>
    socket.write(
      'HTTP/1.1 299 Odd\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nX-Acgs-Unsent: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nETag: "e"\r\nContent-Length: 2\r\n\r\nok',
    ),
  );
  const answer = await rawExchange(edge.url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /ok$/);
  expect(answer).toMatch(/^HTTP\/1\.1 299 Odd\r\n/);
  expect(headerValues(answer, 'set-cookie')).toEqual(['a=1', 'b=2; Path=/']);
  expect(headerValues(answer, 'etag')).toEqual(['"e"']);
  for (const name of ['keep-alive', 'proxy-authenticate', 'x-acgs-unsent', 'x-hop']) {
    expect(headerValues(answer, name), name).toEqual([]);
  }
  expect(headerValues(answer, 'x-content-type-options')).toEqual(['nosniff']);
});

test('HEAD keeps the length and sends no body; 204 and 304 have none', async () => {
  origin.onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n'));
  const head = await fetch(`${edge.url}/`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '1234']);
  origin.onRequest((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
  expect((await fetch(`${edge.url}/`)).status).toBe(204);
  origin.onRequest((socket) => socket.write('HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n'));
  const unchanged = await fetch(`${edge.url}/`, { headers: { 'if-none-match': '"e"' } });
  expect([unchanged.status, unchanged.headers.get('etag')]).toEqual([304, '"e"']);
});

test('Range and redirects are the client’s business', async () => {
  origin.onRequest((socket) =>
    socket.write('HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok'),
  );
  const part = await fetch(`${edge.url}/`, { headers: { range: 'bytes=0-1' } });
  expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 0-1/9']);
  expect(headerValues(origin.heads.at(-1) ?? '', 'range')).toEqual(['bytes=0-1']);
  origin.onRequest((socket) =>
    socket.write('HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n'),
  );
  const redirect = await fetch(`${edge.url}/`, { redirect: 'manual' });
  expect([redirect.status, redirect.headers.get('location')]).toEqual([302, 'http://elsewhere.invalid/']);
});

test('a compressed body passes as it is', async () => {
  origin.onRequest((socket) =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot-gzip!'),
  );
  const answer = await rawExchange(
    edge.url,
    'GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n',
    /gzip!$/,
  );
  expect(headerValues(answer, 'content-encoding')).toEqual(['gzip']);
  expect(headerValues(answer, 'content-length')).toEqual(['9']);
});

test('an upstream that dies mid-body breaks the client’s body', async () => {
  origin.onRequest((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this');
    setImmediate(() => socket.destroy());
  });
  const response = await fetch(`${edge.url}/`);
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow();
  origin.onRequest((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n');
    setImmediate(() => socket.destroy());
  });
  const chunked = await fetch(`${edge.url}/`);
  await expect(chunked.text()).rejects.toThrow();
});

test('a client that hangs up ends the upstream request', async () => {
  const arrived = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  origin.onRequest((socket) => {
    socket.on('close', () => ended.resolve());
    arrived.resolve();
  });
  const { hostname, port } = new URL(edge.url);
  const client = connect(Number(port), hostname, () => client.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'));
  client.on('error', () => {});
  await arrived.promise;
  const before = origin.heads.length;
  // A reset: a mere FIN is a half-closed connection, whose client may well be waiting for its answer.
  client.resetAndDestroy();
  await ended.promise;
  // And it is not taken for a failure of the instance, to be tried again.
  expect(await (await fetch(`${edge.url}/__acgs/health`)).json()).toMatchObject({ snapshot: true });
  expect(origin.heads.length).toBe(before);
});

test('server-sent events arrive one by one', async () => {
  const sockets: { write(text: string): void; end(): void }[] = [];
  origin.onRequest((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
    sockets.push(socket);
  });
  const response = await fetch(`${edge.url}/events`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe('data: 1\n\n');
  sockets[0]?.write('data: 2\n\n');
  expect((await reader?.read())?.value).toBe('data: 2\n\n');
  sockets[0]?.end();
  expect((await reader?.read())?.done).toBe(true);
});

test('WebSocket messages pass both ways', async () => {
  origin.onRequest((socket, head) => {
    const key = headerValues(head, 'sec-websocket-key')[0] ?? '';
    void crypto.subtle
      .digest('SHA-1', new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`))
      .then((digest) => {
        const accept = Buffer.from(digest).toString('base64');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.on('data', (frame: Buffer) => {
          // A short masked text frame: unmask and send back.
          const length = (frame[1] ?? 0) & 0x7f;
          const mask = frame.subarray(2, 6);
          const text = frame.subarray(6, 6 + length).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
          if (((frame[0] ?? 0) & 0xf) === 1) socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
        });
      });
  });
  const client = new WebSocket(`${edge.url.replace('http', 'ws')}/chat`);
  await once(client, 'open');
  client.send('hello');
  const [message] = (await once(client, 'message')) as [{ data: unknown }];
  expect(message.data).toBe('hello');
  client.close();
});

test('a body larger than the replay buffer streams up and down', async () => {
  const size = 32 * 1024 * 1024;
  origin.onRequest((socket, head, rest) => {
    expect(headerValues(head, 'content-length')).toEqual([String(size)]);
    let received = rest.length;
    const answer = () => {
      if (received < size) return;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`);
      socket.end(Buffer.alloc(size, 'x'));
    };
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      answer();
    });
    answer();
  });
  const response = await fetch(`${edge.url}/upload`, { method: 'PUT', body: Buffer.alloc(size, 'y') });
  expect((await response.arrayBuffer()).byteLength).toBe(size);
});
