import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { headerValues, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';

/** RFC 9110 and 9112 for intermediaries, byte by byte: origin and client are plain TCP. */

let edge: TestEdge;
let origin: RawOrigin;

beforeAll(async () => {
  [edge, origin] = await Promise.all([startEdge(), startRawOrigin()]);
  const published = await edge.publish({
    headers: { forwarded: true },
    services: { gs: service({ path: 'direct', instances: [instance('raw-1', origin.url)] }) },
  });
  expect(published.status).toBe(200);
});
afterAll(async () => {
  await Promise.all([edge.stop(), origin.stop()]);
});

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function forwardedHead(requestHead: string): Promise<string> {
  origin.onRequest((socket) => socket.write(OK));
  await rawExchange(edge.url, requestHead, /ok$/);
  return origin.heads.at(-1) ?? '';
}

test('forwards the request line and end-to-end headers unchanged', async () => {
  const head = await forwardedHead(
    'GET /a%2Fb//c?q=%20a+b&c=%zz&d=|{}&&e HTTP/1.1\r\nHost: www.example\r\nX-Twice: 1\r\nX-Twice: 2\r\nCookie: a=1; b=2\r\nAuthorization: Bearer t\r\nAccept-Encoding: br;q=0.1\r\nIf-None-Match: W/"x"\r\n\r\n',
  );
  expect(head.split('\r\n')[0]).toBe('GET /a%2Fb//c?q=%20a+b&c=%zz&d=|{}&&e HTTP/1.1');
  expect(headerValues(head, 'x-twice').join(', ')).toBe('1, 2');
  expect(headerValues(head, 'cookie')).toEqual(['a=1; b=2']);
  expect(headerValues(head, 'authorization')).toEqual(['Bearer t']);
  expect(headerValues(head, 'accept-encoding')).toEqual(['br;q=0.1']);
  expect(headerValues(head, 'if-none-match')).toEqual(['W/"x"']);
});

test('drops hop-by-hop headers, those listed in Connection, and x-acgs-*', async () => {
  const head = await forwardedHead(
    'GET / HTTP/1.1\r\nHost: www.example\r\nConnection: keep-alive, X-Hop, no token\r\nKeep-Alive: timeout=5\r\nX-Hop: secret\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nX-Acgs-Edge: forged\r\nX-Acgs-Client: 10.0.0.1\r\nX-ACGS-Anything: 1\r\n\r\n',
  );
  for (const name of ['keep-alive', 'x-hop', 'te', 'proxy-connection', 'proxy-authorization', 'upgrade']) {
    expect(headerValues(head, name), name).toEqual([]);
  }
  expect(head.toLowerCase()).not.toContain('x-acgs-');
});

test('a client cannot drop end-to-end headers by listing them in Connection', async () => {
  const head = await forwardedHead(
    'GET / HTTP/1.1\r\nHost: www.example\r\nConnection: authorization, x-forwarded-for, cookie\r\nAuthorization: Bearer t\r\nCookie: a=1\r\n\r\n',
  );
  expect(headerValues(head, 'authorization')).toEqual(['Bearer t']);
  expect(headerValues(head, 'cookie')).toEqual(['a=1']);
  expect(headerValues(head, 'x-forwarded-for')).toEqual(['127.0.0.1']);
});

test('appends the client to the forwarding headers, last; passes Host in X-Forwarded-Host', async () => {
  const head = await forwardedHead(
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
});

test('the response keeps repeated Set-Cookie, unusual headers and its status text, and loses hop-by-hop headers', async () => {
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

test('HEAD keeps the length and has no body, and neither do 204 and 304', async () => {
  origin.onRequest((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n'));
  const head = await fetch(`${edge.url}/`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '1234']);
  origin.onRequest((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
  expect((await fetch(`${edge.url}/`)).status).toBe(204);
  origin.onRequest((socket) => socket.write('HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n'));
  const unchanged = await fetch(`${edge.url}/`, { headers: { 'if-none-match': '"e"' } });
  expect([unchanged.status, unchanged.headers.get('etag')]).toEqual([304, '"e"']);
});

test('passes Range and redirects through', async () => {
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

test('passes a compressed body through unchanged', async () => {
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

test('an upstream that dies mid-body breaks off the client’s response', async () => {
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

test('a client that disconnects ends the upstream request', async () => {
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
  // A reset. After a FIN alone the client may still wait for the response.
  client.resetAndDestroy();
  await ended.promise;
  // It does not count as a failure of the instance and is not retried.
  expect(await (await fetch(`${edge.url}/__acgs/health`)).json()).toMatchObject({ snapshot: true });
  expect(origin.heads.length).toBe(before);
});

test('passes server-sent events on one by one', async () => {
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

test('passes WebSocket messages in both directions', async () => {
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

test('streams bodies larger than the replay buffer in both directions', async () => {
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
