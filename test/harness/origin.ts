import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { freePort } from '../../dev/ports.ts';

export interface Origin {
  name: string;
  url: string;
  port: number;
  requests: {
    method: string;
    url: string;
    headers: IncomingMessage['headers'];
    rawHeaders: string[];
    body: string;
  }[];
  /** Replaces the request handler. */
  answer(handler: (request: IncomingMessage, response: ServerResponse, body: string) => void): void;
  stop(): Promise<void>;
}

/** An HTTP server that records its requests. By default it responds with its name. */
export async function startOrigin(name: string, wanted?: number): Promise<Origin> {
  let handler: Parameters<Origin['answer']>[0] = (_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ name }));
  };
  const requests: Origin['requests'] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = request;
      requests.push({ method, url, headers, rawHeaders, body });
      handler(request, response, body);
    });
  });
  // Idle connections stay open, so that a client that reuses one sees no failure.
  server.keepAliveTimeout = 0;
  // Not chosen by the system, which could give the port to another program after this server stops.
  const port = wanted ?? (await freePort());
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    answer(next) {
      handler = next;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
