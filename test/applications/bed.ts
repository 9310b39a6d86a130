import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startEdge } from '../harness/edge.ts';
import { instance, service } from '../harness/snapshot.ts';
import { edgeKey, releaseAfterTests, startHaproxyHarness } from '../integration/haproxy-harness.ts';
import { type Application, type ApplicationWay, TIMEOUT_MS, WAYS } from './application.ts';

export interface ApplicationBed {
  /** Where clients of the application send their requests. */
  urlOf(application: Application, way: ApplicationWay): string;
  folderOf(application: Application): string;
}

/**
 * All applications with two instances each, behind one edge and one HAProxy. Each application and way has a loopback address
 * of its own, which is the host that the clients use and that the request is routed by.
 */
export async function startApplications(applications: readonly Application[]): Promise<ApplicationBed> {
  const root = createPrivateFolder('acgs-apps');
  releaseAfterTests(async () => removeFolder(root));
  const folderOf = ({ id }: Application): string => join(root, id);
  const starting = await Promise.allSettled(
    applications.map(async (application, index) => {
      mkdirSync(folderOf(application));
      return {
        application,
        hosts: hostsOf(index),
        instances: await startInstances(application, folderOf(application)),
      };
    }),
  );
  const running = starting.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  const key = edgeKey('k1');
  const gateway = await startHaproxyHarness({
    services: running.map((one) => serviceLine(one)).join('\n'),
    keys: [key],
  });
  const der = key.privateKey.export({ type: 'pkcs8', format: 'der' });
  const edge = await startEdge({
    sites: ['main', 'bare'],
    vars: { GATEWAY_JWT_KEY: `${key.kid}:${der.toString('base64url')}` },
  });
  releaseAfterTests(() => edge.stop());
  const snapshotServices = (way: ApplicationWay, suffix: string) =>
    Object.fromEntries(
      running.map((one) => [`${one.application.id}${suffix}`, snapshotService(one, way)] as const),
    );
  // A site without a gateway: the edge reaches its instances directly.
  await edge.publish({ site: 'bare', services: snapshotServices('direct', '-direct') });
  await edge.publish({
    site: 'main',
    gateways: [gateway.gateway],
    services: snapshotServices('edge', ''),
  });
  const entry = { direct: edge.url, edge: edge.url, gateway: gateway.gateway };
  const urls = new Map<string, string>();
  for (const { application, hosts } of running) {
    for (const way of WAYS) urls.set(`${application.id} ${way}`, await forward(hosts[way], entry[way]));
  }
  return { urlOf: ({ id }, way) => urls.get(`${id} ${way}`) ?? '', folderOf };
}

type Hosts = Record<ApplicationWay, string>;

interface StartedApplication {
  application: Application;
  hosts: Hosts;
  instances: { id: string; url: string }[];
}

const hostsOf = (index: number): Hosts => ({
  direct: `127.1.1.${index + 1}`,
  edge: `127.1.2.${index + 1}`,
  gateway: `127.1.3.${index + 1}`,
});

async function startInstances(application: Application, folder: string) {
  const names = ['1', '2'].map((number) => `${application.id}-${number}`);
  const starting = await Promise.allSettled(names.map((id) => application.start(id, folder)));
  // All of them have ended or are released, also when one did not start.
  const started = starting.filter((result) => result.status === 'fulfilled');
  for (const { value } of started) releaseAfterTests(value.stop);
  const failed = starting.find((result) => result.status === 'rejected');
  if (failed) throw new Error(`${application.name} did not start`, { cause: failed.reason });
  return started.map(({ value }, index) => ({ id: names[index] ?? '', url: value.url }));
}

function serviceLine({ application, hosts, instances }: StartedApplication): string {
  const list = instances.map(({ id, url }) => `{ id: ${id}, url: "${url}" }`).join(', ');
  const more = application.service === undefined ? '' : `${application.service}, `;
  return `${application.id}: { routes: [/], hosts: [${hosts.edge}, ${hosts.gateway}], timeout: ${timeoutOf(application)}ms, health: { type: tcp }, ${more}instances: [${list}] }`;
}

const timeoutOf = ({ timeoutMs = TIMEOUT_MS }: Application): number => timeoutMs;

const snapshotService = ({ application, hosts, instances }: StartedApplication, way: ApplicationWay) =>
  service({
    hosts: [hosts[way]],
    path: way === 'direct' ? 'direct' : 'gateway',
    timeout: timeoutOf(application),
    affinity: { by: 'cookie', ttl: 3_600_000 },
    instances: instances.map(({ id, url }) => instance(id, url)),
  });

/** Forwards the connections of an address to the edge or the gateway. Returns its URL. */
async function forward(host: string, to: string): Promise<string> {
  const port = Number(new URL(to).port);
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  releaseAfterTests(async () => void server.close());
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}
