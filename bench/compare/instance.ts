import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';

/**
 * One instance of the comparison, run as a child process: `node bench/compare/instance.ts ID HOST PORT`. It answers every
 * path after about 5 ms and takes its fault over IPC, so that no contender's health check can tell the comparison's
 * commands from ordinary traffic.
 */
export interface InstanceFault {
  /** Added to every answer, health checks included. */
  delayMs?: number;
  /** Share of requests (0–1) that stall for `stallMs`. */
  stallShare?: number;
  stallMs?: number;
  /** Share of requests whose connection is reset instead of answered. */
  resetShare?: number;
  /** Share of requests answered with 500. */
  errorShare?: number;
  /** Share of answers that end in the middle of the announced body. */
  truncateShare?: number;
  /** Time between accepting a connection and reading from it; connections that exist are closed first. */
  acceptDelayMs?: number;
  /** Closes the listening socket and every connection. */
  refuse?: boolean;
}

export type InstanceCommand = { kind: 'fault'; fault: InstanceFault } | { kind: 'served' };
/** How many requests the instance has served, and the ids of the POSTs since the last report. */
export interface ServedReport {
  requests: number;
  posts: string[];
}

const SERVICE_TIME_MS = 5;
const BODY = Buffer.from(`${'x'.repeat(1023)}\n`);

const [id = '', host = '127.0.0.1', portText = '0'] = process.argv.slice(2);
let fault: InstanceFault = {};
let requests = 0;
const posts: string[] = [];
const sockets = new Set<Socket>();

const http = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  void answer(request, response);
});
const listener: Server = createTcpServer({ pauseOnConnect: true }, (socket) => {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  socket.on('error', () => socket.destroy());
  setTimeout(() => {
    if (socket.destroyed) return;
    http.emit('connection', socket);
    socket.resume();
  }, fault.acceptDelayMs ?? 0);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { errorShare = 0, resetShare = 0, stallShare = 0, truncateShare = 0 } = fault;
  request.resume();
  requests++;
  const requestId = request.headers['x-compare-id'];
  if (request.method === 'POST' && typeof requestId === 'string') posts.push(requestId);
  const isHealthCheck = request.url === '/health';
  if (!isHealthCheck && Math.random() < resetShare) return void request.socket.resetAndDestroy();
  const stalls = !isHealthCheck && Math.random() < stallShare;
  await pause(
    (stalls ? (fault.stallMs ?? 0) : 0) + (fault.delayMs ?? 0) + (isHealthCheck ? 0 : SERVICE_TIME_MS),
  );
  if (!isHealthCheck && Math.random() < errorShare) return void response.writeHead(500).end('error\n');
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length, 'x-served-by': id });
  if (isHealthCheck || Math.random() >= truncateShare) return void response.end(BODY);
  response.write(BODY.subarray(0, 100), () => request.socket.destroy());
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function setFault(next: InstanceFault): void {
  const wasRefusing = fault.refuse === true;
  fault = next;
  if (next.refuse && !wasRefusing) listener.close();
  if (next.refuse || next.acceptDelayMs) for (const socket of sockets) socket.destroy();
  if (!next.refuse && wasRefusing) listener.listen(Number(portText), host);
}

process.on('message', (command: InstanceCommand) => {
  if (command.kind === 'fault') setFault(command.fault);
  else process.send?.({ requests, posts: posts.splice(0) } satisfies ServedReport);
});
process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => {
  listener.close();
  http.close();
  http.closeIdleConnections();
  const timer = setInterval(() => {
    http.closeIdleConnections();
    if (sockets.size === 0) process.exit(0);
  }, 20);
  setTimeout(() => process.exit(0), 2_000);
  timer.ref();
});
listener.listen(Number(portText), host, () => process.send?.('listening'));
