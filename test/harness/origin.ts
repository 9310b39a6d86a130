import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Origin {
  url: string;
  port: number;
  requests: {
    method: string;
    url: string;
    headers: IncomingMessage['headers'];
    rawHeaders: string[];
    body: string;
  }[];
  /** Replaces what it answers. */
  answer(handler: (request: IncomingMessage, response: ServerResponse, body: string) => void): void;
  stop(): Promise<void>;
}

/** An HTTP server that remembers what it was asked; answers its name by default. */
export async function startOrigin(name: string, port = 0): Promise<Origin> {
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
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    requests,
    answer(next) {
      handler = next;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
