import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll } from 'vitest';
import type { RequestDelta } from '../../agent/core/requests.ts';
import { type Change, type Instance, instanceKey, type TrafficDelta } from '../../agent/core/state.ts';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { createHaproxySink, type HaproxySink } from '../../agent/haproxy/sink.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startHaproxy } from '../../dev/servers/haproxy.ts';
import type { Config } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { ENVELOPE_HEADER, type EnvelopeFields, encodeEnvelope } from '../../shared/envelope.ts';
import { haproxyCommand } from '../harness/haproxy.ts';
import { sampleInstance } from '../harness/instance.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { useServers } from '../harness/use-servers.ts';

/** A real HAProxy on free ports with a small configuration. */
export interface HaproxyHarness {
  config: Config;
  gateway: string;
  stats: string;
  folder: string;
  haproxy: { pid: number; running: boolean; log(): string };
  secrets: { statsUser: string; statsPassword: string; edgePublicKeys: string };
  /** One manual runtime command, retried when HAProxy does not answer. */
  execute(command: string): Promise<string>;
  /** An edge token; `claims` replace the valid ones. */
  token(claims?: Record<string, unknown>, key?: EdgeKey): string;
  /** The headers of a request that the edge forwards; `fields` replace the default ones. */
  edgeHeaders(fields?: Partial<EnvelopeFields>, token?: string): Record<string, string>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface EdgeKey {
  kid: string;
  privateKey: KeyObject;
  publicText: string;
}

export function edgeKey(kid: string): EdgeKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64url');
  return { kid, privateKey, publicText: `${kid}:${spki}` };
}

export function signToken(claims: Record<string, unknown>, key: EdgeKey): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ alg: 'ES256', typ: 'JWT', kid: key.kid });
  const signed = `${header}.${part({ iss: 'acgs-edge', aud: 'main', iat: now, exp: now + 60, ...claims })}`;
  const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/** The header value for a request of 192.0.2.1 to www.example; `fields` replace the default ones. */
export const envelope = (token: string, fields: Partial<EnvelopeFields> = {}): string =>
  encodeEnvelope(token, {
    client: '192.0.2.1',
    proto: 'http',
    host: 'www.example',
    requestId: 'request-1',
    service: null,
    target: null,
    traceparent: null,
    rateLimit: null,
    rateLimitPolicy: null,
    ...fields,
  });

export interface HaproxyHarnessOptions {
  /** The `services:` section as YAML without indentation. */
  services: string;
  /** More keys of `haproxy:` as YAML flow entries: `rateLimit: off, requireEdge: true`. */
  haproxy?: string;
  keys?: EdgeKey[];
  /** More sections of the file as YAML. */
  sections?: string;
  agentBind?: string;
  /** Default: a free port on 127.0.0.1. */
  bind?: string[];
  /** Time for the header fields, and for the start of the body. */
  requestTimeout?: string;
  /** For clients that neither send nor receive. */
  idleTimeout?: string;
  /** Longest wait for a place at a full instance. */
  queueTimeout?: string;
}

/** Origins with these names, which the end of the tests stops. */
export async function startOrigins(...names: string[]): Promise<Origin[]> {
  const origins = await Promise.all(names.map((name) => startOrigin(name)));
  for (const { stop } of origins) releaseAfterTests(stop);
  return origins;
}

export async function startHaproxyHarness({
  services,
  haproxy = '',
  keys,
  sections = '',
  agentBind,
  bind,
  requestTimeout = '60s',
  idleTimeout = '60s',
  queueTimeout = '60s',
}: HaproxyHarnessOptions): Promise<HaproxyHarness> {
  const folder = createPrivateFolder('acgs-t');
  const [gateway = 0, stats = 0, check = 0, agent = 0] = await freePorts(4);
  const edgeKeys = keys ?? [edgeKey('k1')];
  const extra = `bind: ${JSON.stringify(bind ?? [`127.0.0.1:${gateway}`])},`;
  // Instances and agent run in the test's process: the long timeouts keep them up when a busy machine blocks it.
  const config = parseConfig(`
version: 1
site: { id: main }
defaults: { health: { timeout: 60s } }
${sections}
agent: { bind: "${agentBind ?? `127.0.0.1:${agent}`}" }
services:
${services.replaceAll(/^/gm, '  ')}
haproxy: { ${extra} stats: "127.0.0.1:${stats}", agentCheck: "127.0.0.1:${check}", threads: 2,
  timeouts: { connect: 30s, request: ${requestTimeout}, client: ${idleTimeout}, keepAlive: ${idleTimeout},
    queue: ${queueTimeout} },
  socket: ${join(folder, 'admin.sock')}, masterSocket: ${join(folder, 'master.sock')},
  file: ${join(folder, 'haproxy.cfg')}, log: "127.0.0.1:9", ${haproxy} }
`);
  const secrets = {
    statsUser: 'admin',
    statsPassword: 'se cret"$#',
    edgePublicKeys: edgeKeys.map(({ publicText }) => publicText).join(','),
  };
  const start = () =>
    startHaproxy({
      configFile: config.haproxy.file,
      masterSocket: config.haproxy.masterSocket,
      logFile: join(folder, 'haproxy.log'),
    });
  await installHaproxyConfig({ config, instances: configInstances(config), secrets });
  let server = await start();
  const harness: HaproxyHarness = {
    config,
    gateway: `http://127.0.0.1:${gateway}`,
    stats: `http://127.0.0.1:${stats}`,
    folder,
    haproxy: {
      get pid() {
        return server.child.pid;
      },
      get running() {
        return server.child.running;
      },
      log: () => server.child.tail(200),
    },
    secrets,
    execute: (command) => haproxyCommand(config.haproxy.socket, command),
    token: (claims = {}, key = edgeKeys[0] ?? edgeKey('none')) => signToken(claims, key),
    edgeHeaders: (fields = {}, token = harness.token()) => ({ [ENVELOPE_HEADER]: envelope(token, fields) }),
    async restart() {
      await server.stop();
      server = await start();
    },
    async stop() {
      await server.stop();
      removeFolder(folder);
    },
  };
  releases.push(harness.stop);
  return harness;
}

/** A sink for a harness, updated by the test, with everything that it reported. */
export interface ReconciledHaproxy {
  sink: HaproxySink;
  traffic: TrafficDelta[];
  requests: RequestDelta[];
  connectFailures: string[];
  /** Admin states that were not set through the agent. */
  manualChanges: Change[];
  instances: Map<string, Instance>;
  /** Changes some instances (null removes one) and updates the sink. */
  change(changes: Record<string, Partial<Instance> | null>): void;
}

export async function startSink(
  harness: Pick<HaproxyHarness, 'config' | 'secrets'>,
): Promise<ReconciledHaproxy> {
  const traffic: TrafficDelta[] = [];
  const requests: RequestDelta[] = [];
  const connectFailures: string[] = [];
  const manualChanges: Change[] = [];
  const sink = createHaproxySink({
    config: harness.config,
    secrets: harness.secrets,
    log: pino({ level: process.env.HAPROXY_TEST_LOG ?? 'silent' }),
    onTraffic: (deltas) => traffic.push(...deltas),
    onRequests: (deltas) => requests.push(...deltas),
    onConnectFailure: (service, instance) => connectFailures.push(instanceKey(service, instance)),
    onManualAdmin: (change) => manualChanges.push(change),
  });
  await sink.start();
  const instances = new Map(
    configInstances(harness.config).map((source) => [
      instanceKey(source.service, source.id),
      instanceOf({ ...source, state: 'up', health: 'up', origin: 'file' }),
    ]),
  );
  const update = () =>
    sink.accept({
      at: Date.now(),
      instances,
      changes: [{ at: 0, service: '', instance: '', kind: 'state', reason: '' }],
    });
  update();
  const reconciled: ReconciledHaproxy = {
    sink,
    traffic,
    requests,
    connectFailures,
    manualChanges,
    instances,
    change(changes) {
      for (const [key, change] of Object.entries(changes)) {
        if (change === null) instances.delete(key);
        else instances.set(key, instanceOf({ ...instances.get(key), ...change }));
      }
      update();
    },
  };
  releases.push(() => sink.close(CLOSE_MS));
  return reconciled;
}

/** By default an instance that was registered and has no health result yet. */
const instanceOf = (parts: Partial<Instance>): Instance =>
  sampleInstance({
    id: '',
    service: '',
    url: 'http://127.0.0.1:1',
    origin: 'api',
    state: 'down',
    health: 'unknown',
    ...parts,
  });

/** Long enough for a running round to end: it would write into a folder that is being removed. */
export const CLOSE_MS = 60_000;

const releases: (() => Promise<unknown>)[] = [];
/** Registers a release that runs after the tests of the file, in reverse order. */
export const releaseAfterTests = (release: () => Promise<unknown>): void => void releases.push(release);

async function releaseAll(): Promise<void> {
  for (const release of releases.splice(0).reverse()) await release();
}
afterAll(releaseAll);

/** `beforeAll` for what releases itself with `releaseAfterTests`. A test that runs again starts with everything new. */
export const startBeforeTests = (start: () => Promise<unknown>): void => useServers(start, releaseAll);
