import { createHash } from 'node:crypto';
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
  /** Share of answers that stop for `stallMs` in the middle of the body. */
  bodyStallShare?: number;
  /** Time between accepting a connection and reading from it; connections that exist are closed first. */
  acceptDelayMs?: number;
  /** Time from an answer to the end of its connection, without `Connection: close`: the next request may be lost. */
  closeAfterMs?: number;
  /** Closes the listening socket and every connection. */
  refuse?: boolean;
  /** Capacity: requests that are served at the same time, each for `serviceMs`; the others wait. */
  slots?: number;
  serviceMs?: number;
}

/** Sent to the parent for each POST as it arrives, so that a killed instance has reported what it received. */
export interface ReceivedPost {
  post: string;
}

const SERVICE_TIME_MS = 5;
const BODY = Buffer.from(`${'x'.repeat(1023)}\n`);

const [id = '', host = '127.0.0.1', portText = '0'] = process.argv.slice(2);
let fault: InstanceFault = {};
let serving = 0;
const waiting: (() => void)[] = [];
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
  const { errorShare = 0, resetShare = 0, stallShare = 0 } = fault;
  const requestId = request.headers['x-compare-id'];
  if (request.method === 'POST' && typeof requestId === 'string')
    process.send?.({ post: requestId } satisfies ReceivedPost);
  const isHealthCheck = request.url === '/health';
  if (!isHealthCheck && Math.random() < resetShare) return void request.socket.resetAndDestroy();
  const received = await hashOfBody(request);
  if (received === null) return;
  const stalls = !isHealthCheck && Math.random() < stallShare;
  await pause((stalls ? (fault.stallMs ?? 0) : 0) + (fault.delayMs ?? 0));
  if (!isHealthCheck) await serve();
  closeLater(request.socket);
  if (!isHealthCheck && Math.random() < errorShare) return void response.writeHead(500).end('error\n');
  response.writeHead(200, {
    'content-type': 'text/plain',
    'content-length': BODY.length,
    'x-served-by': id,
    'x-received-sha256': received,
  });
  if (isHealthCheck) return void response.end(BODY);
  await sendBody(response);
}

function closeLater(socket: Socket): void {
  const { closeAfterMs } = fault;
  if (closeAfterMs !== undefined) setTimeout(() => socket.end(), closeAfterMs);
}

async function sendBody(response: ServerResponse): Promise<void> {
  const { truncateShare = 0, bodyStallShare = 0, stallMs = 0 } = fault;
  if (Math.random() < bodyStallShare) {
    response.write(BODY.subarray(0, 100));
    await pause(stallMs);
    return void response.end(BODY.subarray(100));
  }
  if (Math.random() >= truncateShare) return void response.end(BODY);
  response.write(BODY.subarray(0, 100), () => response.socket?.destroy());
}

/** Null when the body does not arrive in full, for example because packets are lost. */
async function hashOfBody(request: IncomingMessage): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of request) hash.update(chunk as Buffer);
    return hash.digest('hex');
  } catch {
    return null;
  }
}

/** Occupies a slot while a request is served. */
async function serve(): Promise<void> {
  if (serving >= (fault.slots ?? Number.POSITIVE_INFINITY)) {
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  serving++;
  await pause(fault.serviceMs ?? SERVICE_TIME_MS);
  serving--;
  waiting.shift()?.();
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function setFault(next: InstanceFault): void {
  const wasRefusing = fault.refuse === true;
  fault = next;
  if (next.refuse && !wasRefusing) listener.close();
  if (next.refuse || next.acceptDelayMs) for (const socket of sockets) socket.destroy();
  if (!next.refuse && wasRefusing) listener.listen(Number(portText), host);
}

process.on('message', setFault);
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
