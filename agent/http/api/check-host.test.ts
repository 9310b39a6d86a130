import { request } from 'node:http';
import { Hono } from 'hono';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../../dev/ports.ts';
import { checkHost } from './check-host.ts';
import { type HttpServerHandle, listen } from './listen.ts';
import { ProblemError, problemResponse } from './problem.ts';

let server: HttpServerHandle | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(loopback: boolean, hosts: string[]): Promise<number> {
  const app = new Hono();
  app.use('*', checkHost({ loopback, hosts: () => hosts }));
  app.onError((error, context) =>
    error instanceof ProblemError ? problemResponse(context, error) : new Response(null, { status: 500 }),
  );
  app.all('*', (context) => context.text('secret'));
  const port = await freePort();
  server = await listen(app.fetch, `127.0.0.1:${port}`);
  return port;
}

/** `fetch` sets Host by itself. */
function statusOf(port: number, headers: Record<string, string>, path = '/v1/services'): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

test.each([
  ['127.0.0.1:9400', 200],
  ['localhost:9400', 200],
  ['LOCALHOST', 200],
  ['[::1]:9400', 200],
  ['lb.example', 200],
  ['LB.example.:443', 200],
  ['attacker.example', 403],
  ['attacker.example:9400', 403],
  ['127.0.0.1.attacker.example', 403],
  ['localhost.attacker.example', 403],
  ['2130706433', 403],
  ['a,localhost', 403],
  ['localhost@attacker.example', 400],
])('on loopback, a request with Host %s gets %i', async (host, status) => {
  const port = await start(true, ['Lb.example']);
  for (const path of ['/v1/services', '/', '/metrics', '/v1/openapi.json']) {
    expect(await statusOf(port, { host }, path)).toBe(status);
  }
});

test('on loopback, names are checked without agent.hosts too', async () => {
  const port = await start(true, []);
  expect(await statusOf(port, { host: 'localhost:9400' })).toBe(200);
  expect(await statusOf(port, { host: 'attacker.example:9400' })).toBe(403);
});

test.each([
  ['http://127.0.0.1:9400', 200],
  ['https://lb.example', 200],
  ['http://attacker.example', 403],
  ['http://127.0.0.1:3000', 403],
  ['http://localhost:9400', 403],
  ['null', 403],
  ['file://', 403],
  ['https://lb.example.attacker.example', 403],
])('a request with Origin %s gets %i', async (origin, status) => {
  const port = await start(true, ['lb.example']);
  expect(await statusOf(port, { host: '127.0.0.1:9400', origin })).toBe(status);
});

test('on other addresses names are checked when they are configured; edge reports come with the Host of the edge', async () => {
  const open = await start(false, []);
  expect(await statusOf(open, { host: 'agent.internal' })).toBe(200);
  expect(await statusOf(open, { host: 'agent.internal', origin: 'http://attacker.example' })).toBe(403);
  await server?.close();
  const closed = await start(false, ['agent.internal']);
  expect(await statusOf(closed, { host: 'agent.internal' })).toBe(200);
  expect(await statusOf(closed, { host: 'attacker.example' })).toBe(403);
  expect(await statusOf(closed, { host: 'edge.example' }, '/v1/edge-reports')).toBe(200);
});
