import { Agent, createServer } from 'node:http';
import fastifyProxy from '@fastify/http-proxy';
import fastify from 'fastify';
import { createProxyServer } from 'http-proxy-3';

/** `node bench/proxies/node-proxy.ts KIND ORIGIN PORT`: a proxy from npm with connections kept open, for comparison. */
const [kind = '', origin = '', port = ''] = process.argv.slice(2);
const listen = { host: '127.0.0.1', port: Number(port) };

if (kind === 'http-proxy-3') {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1_024 });
  const proxy = createProxyServer({ target: origin, agent });
  createServer((request, response) => proxy.web(request, response)).listen(listen);
} else if (kind === '@fastify/http-proxy') {
  const app = fastify();
  await app.register(fastifyProxy, { upstream: origin });
  await app.listen(listen);
} else {
  process.stderr.write(
    'usage: node bench/proxies/node-proxy.ts http-proxy-3|@fastify/http-proxy ORIGIN PORT\n',
  );
  process.exit(2);
}
