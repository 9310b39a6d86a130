import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * One demo instance: `node dev/instance.ts SERVICE ID PORT`. Answers JSON on every path, so that who answered can be
 * seen; `/health`; `/metrics`; and `POST /__demo {"delayMs": 200, "failRate": 0.5}` to make it slow or failing.
 */
const [service = '', id = '', portText = ''] = process.argv.slice(2);
const port = Number(portText);
if (!service || !id || !Number.isInteger(port) || port < 1 || port > 65_535) {
  process.stderr.write('usage: node dev/instance.ts SERVICE ID PORT\n');
  process.exit(2);
}

const knobs = { delayMs: 0, failRate: 0 };
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const durations = { counts: new Array<number>(BUCKETS.length).fill(0), sum: 0, total: 0 };

const server = createServer((request, response) => {
  const begun = performance.now();
  response.once('close', () => observe((performance.now() - begun) / 1000));
  answer(request, response).catch(() => response.destroy());
});

// Whoever holds the connection closes it: HAProxy must never find a reused one shut under its hands.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.maxRequestsPerSocket = 0;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Not relative to a URL: there, what follows `//` is a host.
  const { pathname: path } = new URL(`http://demo${request.url ?? '/'}`);
  if (path === '/metrics') return text(response, metrics());
  if (path === '/__demo' && request.method === 'POST') return turnKnobs(request, response);
  if (path === '/health') return json(response, 200, { status: 'healthy', service, instance_id: id });
  let received = 0;
  for await (const chunk of request) received += (chunk as Buffer).length;
  if (knobs.delayMs > 0) await sleep(knobs.delayMs);
  if (knobs.failRate > 0 && Math.random() < knobs.failRate) {
    return json(response, 500, { service, instance_id: id, path, error: 'asked to fail' });
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

async function turnKnobs(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > 10_000) return json(response, 413, { error: 'too large' });
  }
  let wanted: unknown;
  try {
    wanted = JSON.parse(body || '{}');
  } catch {
    return json(response, 400, { error: 'not JSON' });
  }
  for (const name of ['delayMs', 'failRate'] as const) {
    const value = (wanted as Partial<Record<typeof name, unknown>> | null)?.[name];
    if (typeof value === 'number' && value >= 0) knobs[name] = value;
  }
  json(response, 200, knobs);
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
  const why = error.code === 'EADDRINUSE' ? `port ${port} is already taken` : error.message;
  process.stderr.write(`${id}: ${why}\n`);
  process.exit(1);
});
// In a container the other ones must reach it.
server.listen(port, process.env.ACGS_DEMO_HOST ?? '127.0.0.1');

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 1_000).unref();
  });
}
