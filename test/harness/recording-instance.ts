import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { freePort } from '../../dev/ports.ts';

/** One request as Node's strict parser read it. Health checks are left out. */
interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly trailers: readonly string[];
  readonly body: string;
}

/** A Node HTTP server that keeps the requests it parsed and the bytes it received. */
export interface RecordingInstance {
  readonly url: string;
  readonly requests: SeenRequest[];
  /** All received bytes as Latin-1, without those of health checks. */
  bytes(): string;
  /** Request heads that Node's parser refused. */
  refused(): number;
  forget(): void;
  /** Replaces the handler. */
  answer(handler: (request: IncomingMessage, response: ServerResponse) => void): void;
  stop(): Promise<void>;
}

export async function startRecordingInstance(name: string): Promise<RecordingInstance> {
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let chunks: string[] = [];
  let refused = 0;
  let handler = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('content-type', 'text/plain');
    response.end(`${name} ${request.url}`);
  };
  const http = createServer(
    { keepAliveTimeout: 0, requestTimeout: 0, maxHeaderSize: 131_072 },
    (request, response) => {
      const { method = '', url = '', headers, rawHeaders } = request;
      let body = '';
      request.setEncoding('latin1').on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        if (isHealthCheck(headers)) {
          response.end();
          return;
        }
        requests.push({ method, url, headers, rawHeaders, body, trailers: request.rawTrailers });
        handler(request, response);
      });
    },
  );
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // A connection that was reset is not a request.
    if (error.code?.startsWith('HPE_')) refused++;
    socket.destroy();
  });
  const tcp = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    http.emit('connection', socket);
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1');
      if (!text.includes(CHECK_AGENT)) chunks.push(text);
    });
  });
  const port = await freePort();
  await once(tcp.listen(port, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    bytes: () => chunks.join(''),
    refused: () => refused,
    forget() {
      requests.length = 0;
      chunks = [];
      refused = 0;
    },
    answer(next) {
      handler = next;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

const CHECK_AGENT = 'acgs-lb-haproxy';

const isHealthCheck = (headers: IncomingMessage['headers']): boolean => headers['user-agent'] === CHECK_AGENT;
