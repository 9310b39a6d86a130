import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server as SocketServer } from 'socket.io';
import { io } from 'socket.io-client';
import { WebSocketServer, WebSocket as WsClient } from 'ws';
import { type Application, type CheckContext, mustEqual, nothingMissing, TIMEOUT_MS } from './application.ts';
import { listen } from './node-server.ts';

async function socketIo({ url }: CheckContext, transports: string[]): Promise<void> {
  const socket = io(url, { transports, withCredentials: true, forceNew: true, reconnection: false });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('connect', resolve).on('connect_error', reject);
    });
    const names = new Set<string>();
    for (let i = 0; i < 5; i++) names.add(await socket.timeout(10_000).emitWithAck('who'));
    mustEqual(names.size, 1, 'instances that answered one session');
    mustEqual(socket.io.engine.transport.name, transports.at(-1), 'transport');
    const blob = Buffer.alloc(300_000, 7);
    const echoed: Buffer = await socket.timeout(10_000).emitWithAck('echo', blob);
    mustEqual(blob.equals(Buffer.from(echoed)), true, 'binary message came back');
  } finally {
    socket.disconnect();
  }
}

export const SOCKET_IO: Application = {
  id: 'socket-io',
  name: 'socket.io',
  needs:
    'a client that keeps cookies (browsers do; in Node `withCredentials: true`), or `affinity: { by: ip }`, or `transports: ["websocket"]`',
  missing: nothingMissing,
  async start(name) {
    const server = createServer();
    const sockets = new SocketServer(server, { maxHttpBufferSize: 1e7 });
    sockets.on('connection', (socket) => {
      socket.on('who', (reply: (name: string) => void) => reply(name));
      socket.on('echo', (value: Buffer, reply: (value: Buffer) => void) => reply(value));
    });
    const { url, stop } = await listen(server);
    return {
      url,
      async stop() {
        await sockets.close();
        await stop();
      },
    };
  },
  checks: [
    { what: 'long polling stays on its instance', run: (context) => socketIo(context, ['polling']) },
    { what: 'upgrade to a WebSocket', run: upgraded },
    { what: 'WebSocket alone', run: (context) => socketIo(context, ['websocket']) },
  ],
};

async function upgraded({ url }: CheckContext): Promise<void> {
  const socket = io(url, { withCredentials: true, forceNew: true, reconnection: false });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('connect_error', reject);
      socket.on('connect', () => {
        const { engine } = socket.io;
        if (engine.transport.name === 'websocket') resolve();
        else engine.once('upgrade', () => resolve());
      });
    });
    mustEqual(socket.io.engine.transport.name, 'websocket', 'transport');
    await socket.timeout(10_000).emitWithAck('who');
  } finally {
    socket.disconnect();
  }
}

async function withSocket<T>(
  { url }: CheckContext,
  use: (socket: WsClient) => Promise<T>,
  protocols: string[] = [],
): Promise<T> {
  const socket = new WsClient(url.replace('http', 'ws'), protocols);
  try {
    await new Promise<void>((resolve, reject) => void socket.once('open', resolve).once('error', reject));
    return await use(socket);
  } finally {
    socket.terminate();
  }
}

const nextMessage = (socket: WsClient): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    socket
      .once('message', (data) => resolve(data as Buffer))
      .once('close', () => reject(new Error('closed')));
  });

async function echo(socket: WsClient, message: string | Buffer): Promise<void> {
  const answer = nextMessage(socket);
  socket.send(message);
  mustEqual(Buffer.from(message).equals(await answer), true, 'message came back');
}

export const WS: Application = {
  id: 'ws',
  name: 'WebSocket (ws)',
  needs: 'nothing; `haproxy.timeouts.tunnel` is the longest silence',
  missing: nothingMissing,
  async start() {
    const server = createServer();
    const sockets = new WebSocketServer({
      server,
      handleProtocols: (offered) => ([...offered].includes('chat') ? 'chat' : false),
    });
    sockets.on('connection', (client) => {
      client.on('message', (data, isBinary) => {
        if (!isBinary && String(data) === 'bye') client.close(4001, 'as you wish');
        else client.send(data, { binary: isBinary });
      });
    });
    const { url, stop } = await listen(server);
    return {
      url,
      async stop() {
        for (const client of sockets.clients) client.terminate();
        await stop();
      },
    };
  },
  checks: [
    {
      what: 'text and binary messages up to 1 MB',
      run: (context) =>
        withSocket(context, async (socket) => {
          await echo(socket, 'hello');
          await echo(socket, Buffer.alloc(1_000_000, 3));
        }),
    },
    {
      what: 'subprotocol and close code',
      run: (context) =>
        withSocket(
          context,
          async (socket) => {
            mustEqual(socket.protocol, 'chat', 'subprotocol');
            const closed = new Promise<unknown[]>((resolve) => {
              socket.once('close', (code, reason) => resolve([code, String(reason)]));
            });
            socket.send('bye');
            mustEqual(await closed, [4001, 'as you wish'], 'close code and reason');
          },
          ['chat'],
        ),
    },
    {
      what: "silence for longer than the service's timeout",
      slow: true,
      run: (context) =>
        withSocket(context, async (socket) => {
          await sleep(TIMEOUT_MS + 2_000);
          await echo(socket, 'still there');
        }),
    },
  ],
};

export const EVENTS: Application = {
  id: 'events',
  name: 'Server-Sent Events',
  needs: 'a comment line at least every `longLived.idle` (5 min)',
  missing: nothingMissing,
  start: () =>
    listen(async ({ url, headers }, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`id: 1\ndata: after ${headers['last-event-id']}\n\n`);
      if (url === '/silent') await sleep(TIMEOUT_MS + 2_000);
      else await new Promise((resolve) => setImmediate(resolve));
      response.end('data: two\n\n');
    }),
  checks: [
    {
      what: 'each event arrives at once, `Last-Event-ID` passes',
      run: (context) => events(context, '/'),
    },
    {
      what: "silence for longer than the service's timeout",
      slow: true,
      run: (context) => events(context, '/silent'),
    },
    {
      what: 'a stream that a POST starts, with such a silence',
      slow: true,
      run: (context) => events(context, '/silent', 'POST'),
    },
  ],
};

async function events({ url }: CheckContext, path: string, method = 'GET'): Promise<void> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { accept: 'text/event-stream', 'last-event-id': '7' },
  });
  mustEqual(await response.text(), 'id: 1\ndata: after 7\n\ndata: two\n\n', 'events');
}
