import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/eventually.ts';
import { createConsulReader, nextIndex, parseConsulEntries } from './consul.ts';
import { createDockerReader, parseContainers } from './docker.ts';

/** Replays the published APIs: Consul's /v1/health/service/:service, Docker's /containers/json and /events. */

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Listens on a port, or on a socket if `path` is given. */
async function serve(handler: Handler, path?: string): Promise<string> {
  const server = createServer((request, response) =>
    handler(request, response, new URL(request.url ?? '/', 'http://localhost')),
  );
  await once(path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path), 'listening');
  closers.push(() => server.close().closeAllConnections());
  const address = server.address();
  return typeof address === 'object' ? `http://127.0.0.1:${address?.port}` : `unix://${address}`;
}

const signal = () => new AbortController().signal;

/** An entry as Consul answers it, shortened. */
const entry = (id: string, service: object = {}, statuses: string[] = ['passing']) => ({
  Node: { ID: 'f0e1', Node: 'node-1', Address: '10.0.0.9', Datacenter: 'dc1', Meta: {} },
  Service: {
    ID: id,
    Service: 'web',
    Tags: [],
    Address: '10.0.0.1',
    Port: 8080,
    Weights: { Passing: 1, Warning: 1 },
    ...service,
  },
  Checks: statuses.map((Status) => ({ Node: 'node-1', CheckID: 'serfHealth', Status })),
});

test('Consul: addresses, weights, and checks', () => {
  const { instances, problems } = parseConsulEntries(
    [
      entry('a', { Weights: { Passing: 10, Warning: 1 } }),
      entry('b', { Address: '', Port: 81, Weights: { Passing: 10, Warning: 5 } }, ['passing', 'warning']),
      entry('c', {}, ['passing', 'critical']),
      entry('d', { Port: 0 }),
      entry('e', { Address: 'no address' }),
    ],
    'http',
  );
  expect(instances.map(({ url, weight }) => [url, weight])).toEqual([
    ['http://10.0.0.1:8080', 100],
    ['http://10.0.0.9:81', 50],
  ]);
  expect(problems).toEqual([
    expect.stringMatching(/^entry 4: \{.*Service\.Port: /),
    'e: "no address" is not an address',
  ]);
  expect(() => parseConsulEntries({ error: 'x' }, 'http')).toThrow('Consul answered {"error":"x"}');
});

test('Consul: blocking queries with the index, the tag, and the token', async () => {
  const asked: URL[] = [];
  const tokens: unknown[] = [];
  const server = await serve((request, response, url) => {
    asked.push(url);
    tokens.push(request.headers['x-consul-token']);
    response.setHeader('x-consul-index', String(6 + asked.length)).end(JSON.stringify([entry('a')]));
  });
  const settings = { name: 'web', server, tag: 'prod', scheme: 'http', interval: 7_000 } as const;
  const reader = createConsulReader(settings, 'a-token');
  expect(await reader.read(signal())).toMatchObject({
    instances: [{ url: 'http://10.0.0.1:8080' }],
    readAgainMs: 0,
  });
  await reader.read(signal());
  expect(asked.map(({ pathname, search }) => pathname + search)).toEqual([
    '/v1/health/service/web?tag=prod',
    '/v1/health/service/web?tag=prod&index=7&wait=7000ms',
  ]);
  expect(tokens).toEqual(['a-token', 'a-token']);
  reader.close();
});

test('Consul: an index that goes back or is not a number starts over', () => {
  expect([
    nextIndex(0, '5'),
    nextIndex(5, '5'),
    nextIndex(6, '5'),
    nextIndex(0, undefined),
    nextIndex(0, 'x'),
  ]).toEqual([5, 5, 0, 0, 0]);
});

test('an answer with another status, one that is not JSON, and one that is too large are errors', async () => {
  let answer: Handler = () => {};
  const server = await serve((...request) => answer(...request));
  const reader = createConsulReader({ name: 'web', server, scheme: 'http', interval: 7_000 }, undefined);
  closers.push(reader.close);
  answer = (_, response) => void response.writeHead(403).end('rpc error: Permission denied');
  await expect(reader.read(signal())).rejects.toThrow(
    `${server}: status 403: "rpc error: Permission denied"`,
  );
  answer = (_, response) => void response.end('<html>');
  await expect(reader.read(signal())).rejects.toThrow(`${server}: the answer "<html>" is not JSON`);
  answer = (_, response) => void response.end(Buffer.alloc(4 * 1_048_576 + 1, ' '));
  await expect(reader.read(signal())).rejects.toThrow('the answer is larger than 4194304 bytes');
  answer = (request) => void request.socket.destroy();
  await expect(reader.read(signal())).rejects.toThrow(server);
});

/** A container as Docker's GET /containers/json answers it, shortened. */
const container = (name: string, more: object = {}) => ({
  Id: `${name}0123456789abcdef`,
  Names: [`/${name}`],
  Image: 'web:1',
  Labels: { service: 'web' },
  State: 'running',
  Status: 'Up 2 minutes',
  Ports: [{ PrivatePort: 8080, Type: 'tcp' }],
  HostConfig: { NetworkMode: 'bridge' },
  NetworkSettings: {
    Networks: { bridge: { IPAddress: '172.17.0.2', GlobalIPv6Address: '', MacAddress: '02:42' } },
  },
  ...more,
});
const networks = (Networks: object) => ({ NetworkSettings: { Networks } });

test('Docker: the address and the port of a container', () => {
  const read = (one: object, scope: object = {}) => {
    const { instances, problems } = parseContainers([one], { scheme: 'http', isLocal: true, ...scope });
    return instances[0]?.url ?? problems[0];
  };
  expect(read(container('a'))).toBe('http://172.17.0.2:8080');
  // Docker lists a published port once for each address family.
  const published = { PrivatePort: 8080, PublicPort: 80, Type: 'tcp' };
  const ports = [
    { IP: '0.0.0.0', ...published },
    { IP: '::', ...published },
  ];
  expect(read(container('a', { Ports: ports }))).toBe('http://172.17.0.2:8080');
  const two = { Ports: [...ports, { PrivatePort: 9000, Type: 'tcp' }, { PrivatePort: 53, Type: 'udp' }] };
  expect(read(container('a', two))).toBe(
    'container a: it exposes the ports 8080, 9000; set instancesFrom.port',
  );
  expect(read(container('a', two), { port: 9000 })).toBe('http://172.17.0.2:9000');
  expect(read(container('a', { Ports: [] }))).toBe('container a: it exposes no port; set instancesFrom.port');
  const several = networks({ bridge: { IPAddress: '172.17.0.2' }, app: { IPAddress: '172.18.0.5' } });
  expect(read(container('a', several))).toBe(
    'container a: it is in the networks bridge, app; set instancesFrom.network',
  );
  expect(read(container('a', several), { network: 'app' })).toBe('http://172.18.0.5:8080');
  expect(read(container('a', several), { network: 'other' })).toBe(
    'container a: it has no address in the network "other"',
  );
  expect(read(container('a', networks({ app: { IPAddress: '', GlobalIPv6Address: 'fd00::5' } })))).toBe(
    'http://[fd00::5]:8080',
  );
  const host = container('a', networks({ host: { IPAddress: '' } }));
  expect(read(host)).toBe('http://127.0.0.1:8080');
  expect(read(host, { isLocal: false })).toBe('container a: it has no address in the network "host"');
  // As podman answers for a container without a network.
  const none = { NetworkSettings: { Networks: null } };
  expect(read(container('a', none))).toBe('container a: it is in no network');
  expect(read({ Id: 7 })).toMatch(/^container \{"Id":7\}: /);
});

test('Docker: filters over the socket, and an event that asks for another read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-dk-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const asked: URL[] = [];
  let events: ServerResponse | undefined;
  const server = await serve(
    (_, response, url) => {
      asked.push(url);
      if (url.pathname === '/events') {
        events = response;
        response.flushHeaders();
      } else response.end(JSON.stringify([container('a')]));
    },
    join(folder, 'docker.sock'),
  );
  const reader = createDockerReader({ labels: { service: 'web', tier: 'front' }, server, scheme: 'http' });
  closers.push(reader.close);
  expect(await reader.read(signal())).toMatchObject({
    instances: [{ url: 'http://172.17.0.2:8080', metadata: { 'docker.name': 'a' } }],
    problems: [],
  });
  let changed = false;
  const waiting = reader.changed?.(signal()).then(() => {
    changed = true;
  });
  await eventually(() => expect(events).toBeDefined());
  expect(changed).toBe(false);
  events?.write('{"Type":"container","Action":"start","Actor":{"ID":"b"}}\n');
  await waiting;
  const filters = asked.map(({ searchParams }) => JSON.parse(searchParams.get('filters') ?? '{}'));
  const label = ['service=web', 'tier=front'];
  expect(filters).toEqual([
    { label, status: ['running'] },
    { label, type: ['container'], event: ['start', 'unpause', 'die', 'pause'] },
  ]);
  expect(asked[1]?.searchParams.get('since')).toMatch(/^\d{10}\.\d{3}$/);
});

test('Docker: a stream of events that ends or is refused is an error', async () => {
  let status = 200;
  const server = await serve((_, response) => response.writeHead(status).end());
  const reader = createDockerReader({ labels: { service: 'web' }, server, scheme: 'http' });
  closers.push(reader.close);
  await expect(reader.changed?.(signal())).rejects.toThrow('the stream ended');
  status = 500;
  await expect(reader.changed?.(signal())).rejects.toThrow('status 500');
});
