import { expect, test } from 'vitest';
import { createHttp2Probe } from '../../agent/probes/http2/probe.ts';
import { probeTargetsOf } from '../../agent/probes/targets.ts';
import { makeCertificates } from '../harness/certificates.ts';
import { startEdge } from '../harness/edge.ts';
import { type GrpcServer, grpcClient, startGrpcServer } from '../harness/grpc.ts';
import { sampleInstance } from '../harness/instance.ts';
import { instance, service } from '../harness/snapshot.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
  startSink,
} from './haproxy-harness.ts';

/** gRPC servers behind HAProxy, without TLS (h2c) and with it. */

let harness: HaproxyHarness;
let reconciled: ReconciledHaproxy;
const servers: Record<string, GrpcServer> = {};

startBeforeTests(async () => {
  const certificates = makeCertificates('client');
  releaseAfterTests(async () => certificates.remove());
  for (const name of ['plain-1', 'plain-2', 'tls-1', 'bare-1', 'extra-1']) {
    const server = await startGrpcServer(name, {
      ...(name === 'tls-1' && { tls: certificates.server }),
      health: name !== 'bare-1',
    });
    servers[name] = server;
    releaseAfterTests(server.stop);
  }
  const list = (...ids: string[]) => ids.map((id) => `{ id: ${id}, url: "${servers[id]?.url}" }`).join(', ');
  const health = 'type: grpc, interval: 200ms, fastInterval: 100ms, rise: 1, fall: 1';
  harness = await startHaproxyHarness({
    services: `
plain: { routes: [/], protocol: http2, health: { ${health} }, instances: [${list('plain-1', 'plain-2')}] }
secure: { routes: [/secure], protocol: http2, health: { ${health}, tls: { ca: ${certificates.ca} } }, instances: [${list('tls-1')}] }
http: { routes: [/http], protocol: http2, health: { path: /, expect: { status: [415] } }, instances: [${list('bare-1')}] }`,
  });
  reconciled = await startSink(harness);
});

async function stateOf(server: string): Promise<string> {
  const rows = (await harness.execute('show stat -1 4 -1')).split('\n').map((row) => row.split(','));
  const row = rows.find(([backend, name]) => `${backend}/${name}` === server) ?? [];
  return `${row[17]} ${row[36]}`;
}

test('a client reaches the servers: calls, errors, trailers and streams', async () => {
  const client = grpcClient(harness.gateway);
  const names = await Promise.all(Array.from({ length: 20 }, () => client.call('/test.Echo/Name')));
  // Requests of one connection are balanced.
  expect(new Set(names)).toEqual(new Set(['plain-1', 'plain-2']));
  expect(await client.call('/test.Echo/Fail')).toMatch(/^9 plain-[12] refuses$/);
  expect(await client.call('/test.Echo/None')).toMatch(/^12 /);
  expect(await client.chat(['a', 'x'.repeat(200_000), 'c'])).toEqual(['a', 'x'.repeat(200_000), 'c']);
  client.close();
});

test("HAProxy's checks follow the server's own health", async () => {
  expect(await until(async () => (await stateOf('plain/plain-1')) === 'UP L7OK')).toBe(true);
  expect(await until(async () => (await stateOf('secure/tls-1')) === 'UP L7OK')).toBe(true);
  // An HTTP check over HTTP/2.
  expect(await until(async () => (await stateOf('http/bare-1')) === 'UP L7OK')).toBe(true);
  servers['plain-1']?.setHealth('not serving');
  expect(await until(async () => (await stateOf('plain/plain-1')).startsWith('DOWN'))).toBe(true);
  const client = grpcClient(harness.gateway);
  for (let i = 0; i < 8; i++) expect(await client.call('/test.Echo/Name')).toBe('plain-2');
  client.close();
  servers['plain-1']?.setHealth('serving');
  expect(await until(async () => (await stateOf('plain/plain-1')) === 'UP L7OK')).toBe(true);
});

test('a gRPC server that is registered at run time is checked and used', async () => {
  const registered = { id: 'extra-1', service: 'plain', url: servers['extra-1']?.url ?? '' };
  reconciled.change({ 'plain/extra-1': { ...registered, state: 'up', health: 'up' } });
  expect(await until(async () => (await stateOf('plain/extra-1')) === 'UP L7OK')).toBe(true);
  const client = grpcClient(harness.gateway);
  expect(await until(async () => (await client.call('/test.Echo/Name')) === 'extra-1')).toBe(true);
  client.close();
});

test("the agent's probe reads the health over HTTP/2, and names what is wrong", async () => {
  const targets = probeTargetsOf(
    ['plain-1', 'tls-1', 'bare-1'].map((id) =>
      sampleInstance({
        id,
        service: id === 'tls-1' ? 'secure' : id === 'bare-1' ? 'http' : 'plain',
        url: servers[id]?.url ?? '',
        origin: 'file',
      }),
    ),
    harness.config,
  );
  const probes = targets.map((target) => createHttp2Probe(target, () => {}));
  const [plain, secure, http] = probes;
  const errorOf = async (probe = plain) => (await probe?.run())?.error;
  expect(await errorOf()).toBeUndefined();
  expect(await errorOf(secure)).toBeUndefined();
  expect(await errorOf(http)).toBeUndefined();
  servers['plain-1']?.setHealth('not serving');
  expect(await errorOf()).toBe('gRPC health is NOT_SERVING, expected SERVING');
  servers['plain-1']?.setHealth(null);
  expect(await errorOf()).toBe('grpc-status 5 of grpc.health.v1.Health/Check');
  servers['plain-1']?.setHealth('serving');
  expect(await errorOf()).toBeUndefined();
  const bare = createHttp2Probe({ ...targets[0], url: servers['bare-1']?.url } as never, () => {});
  expect(await errorOf(bare)).toBe('grpc-status 12: the server has no service grpc.health.v1.Health');
  for (const probe of [...probes, bare]) probe.close();
});

test('the edge answers a gRPC call with an error that the client understands', async () => {
  const edge = await startEdge();
  releaseAfterTests(edge.stop);
  const url = servers['plain-2']?.url ?? '';
  await edge.publish({
    services: { plain: service({ protocol: 'http2', instances: [instance('plain-2', url)] }) },
  });
  // The runtime takes only HTTP/1.1 here. On Cloudflare, and in front of a self-hosted edge, a proxy takes HTTP/2.
  const front = await startHaproxyHarness({
    services: `edge: { routes: [/], health: { type: tcp }, instances: [{ id: e-1, url: "${edge.url}" }] }`,
  });
  const client = grpcClient(front.gateway);
  expect(await client.call('/test.Echo/Name')).toBe(
    '12 gRPC cannot pass the edge, which cannot forward HTTP trailers; connect to the gateway',
  );
  client.close();
  // gRPC-Web has its trailers in the body, so it may pass.
  const web = await fetch(edge.url, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web' },
  });
  expect(web.headers.get('grpc-status')).toBeNull();
});
