import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * One demo instance: `node dev/instance.ts SERVICE ID PORT`. Every path answers JSON that names the instance. It also
 * serves `/health` and `/metrics`. `POST /__demo {"delayMs": 200, "failRate": 0.5}` makes it slow or failing.
 */
const [service = '', id = '', portText = ''] = process.argv.slice(2);
const port = Number(portText);
if (!service || !id || !Number.isInteger(port) || port < 1 || port > 65_535) {
  process.stderr.write('usage: node dev/instance.ts SERVICE ID PORT\n');
  process.exit(2);
}

const faults = { delayMs: 0, failRate: 0 };
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const durations = { counts: new Array<number>(BUCKETS.length).fill(0), sum: 0, total: 0 };

const server = createServer((request, response) => {
  const startedAt = performance.now();
  response.once('close', () => observe((performance.now() - startedAt) / 1000));
  answer(request, response).catch(() => response.destroy());
});

// The client closes the connection, so HAProxy never reuses a connection that the server has closed.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.maxRequestsPerSocket = 0;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Not resolved against a base URL: a path that starts with `//` would become a host.
  const { pathname: path } = new URL(`http://demo${request.url ?? '/'}`);
  if (path === '/metrics') return text(response, metrics());
  if (path === '/__demo' && request.method === 'POST') return setFaults(request, response);
  if (path === '/health') return json(response, 200, { status: 'healthy', service, instance_id: id });
  let received = 0;
  for await (const chunk of request) received += (chunk as Buffer).length;
  if (faults.delayMs > 0) await sleep(faults.delayMs);
  if (faults.failRate > 0 && Math.random() < faults.failRate) {
    return json(response, 500, { service, instance_id: id, path, error: 'simulated failure' });
  }
  json(response, 200, {
    service,
    instance_id: id,
    path,
    method: request.method,
    client: request.headers['x-forwarded-for'] ?? null,
    request_id: request.headers['x-request-id'] ?? null,
    received,
    pid: process.pid,
  });
}

async function setFaults(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > 10_000) return json(response, 413, { error: 'too large' });
  }
  let requested: unknown;
  try {
    requested = JSON.parse(body || '{}');
  } catch {
    return json(response, 400, { error: 'not JSON' });
  }
  for (const name of ['delayMs', 'failRate'] as const) {
    const value = (requested as Partial<Record<typeof name, unknown>> | null)?.[name];
    if (typeof value === 'number' && value >= 0) faults[name] = value;
  }
  json(response, 200, faults);
}

function json(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

function text(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
  response.end(body);
}

function observe(seconds: number): void {
  durations.total += 1;
  durations.sum += seconds;
  for (const [index, bound] of BUCKETS.entries()) {
    if (seconds <= bound) durations.counts[index] = (durations.counts[index] ?? 0) + 1;
  }
}

function metrics(): string {
  const name = 'http_request_duration_seconds';
  const labels = `service="${service}",instance="${id}"`;
  return [
    `# HELP ${name} Time to answer a request.`,
    `# TYPE ${name} histogram`,
    ...BUCKETS.map((bound, index) => `${name}_bucket{${labels},le="${bound}"} ${durations.counts[index]}`),
    `${name}_bucket{${labels},le="+Inf"} ${durations.total}`,
    `${name}_sum{${labels}} ${durations.sum}`,
    `${name}_count{${labels}} ${durations.total}`,
    '',
  ].join('\n');
}

server.once('error', (error: NodeJS.ErrnoException) => {
  const reason = error.code === 'EADDRINUSE' ? `port ${port} is already in use` : error.message;
  process.stderr.write(`${id}: ${reason}\n`);
  process.exit(1);
});
// In a container, other containers must reach it.
server.listen(port, process.env.ACGS_DEMO_HOST ?? '127.0.0.1');

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 1_000).unref();
  });
}
