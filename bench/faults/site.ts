import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { newPassword } from '../../dev/servers/password.ts';
import { loadSecrets, type StackSecrets } from '../../dev/stack/secrets.ts';
import * as services from '../../dev/stack/services.ts';
import { parseConfig } from '../../shared/config/load.ts';
import type { Fleet } from '../compare/fleet.ts';
import { Part } from './part.ts';

/** Lines of the configuration that a bed sets for one service. */
export type ServiceSettings = Readonly<Record<string, unknown>>;

export interface SiteOptions {
  id: string;
  /** Address of the site's programs. */
  host: string;
  fleets: ReadonlyMap<string, Fleet>;
  settings?: Readonly<Record<string, ServiceSettings>>;
  /** HAProxies, each with its agent. */
  nodes?: number;
  /** Where the agents publish. */
  publishUrl: string;
  stores?: boolean;
  /** Secrets that two sites share. */
  shared?: Partial<StackSecrets>;
  /** The library that reads the agents' clock offset from the site's clock file. */
  clockLibrary?: string;
}

export interface SiteNode {
  readonly context: services.StackContext;
  readonly haproxy: Part;
  readonly agent: Part;
  readonly gateway: string;
  readonly api: string;
  readonly socket: string;
  readonly masterSocket: string;
}

/** One site under test: its stores, and its HAProxies with their agents. */
export interface Site {
  readonly id: string;
  readonly folder: string;
  readonly nodes: readonly SiteNode[];
  readonly redis: Part;
  readonly postgres: Part;
  readonly urls: services.StoreUrls;
  readonly secrets: StackSecrets;
  readonly clockFile: string;
  /** Small file systems, for root only: of Postgres's data, and of the first agent's state. */
  readonly smallDisk: string | null;
  readonly smallStateDir: string | null;
  stop(): Promise<void>;
}

/** The whole load comes from one address. */
const NO_LIMITS = { defaults: { rateLimits: [] } };

export async function startSite(options: SiteOptions): Promise<Site> {
  const folder = createPrivateFolder('acgs-f');
  // As root, Postgres runs as another user and needs to traverse this folder.
  chmodSync(folder, 0o711);
  const secrets = { ...loadSecrets(join(folder, 'secrets.env'), options.id), ...options.shared };
  const urls: services.StoreUrls = { redis: null, postgres: null };
  const clockFile = join(folder, 'clock');
  writeFileSync(clockFile, '+0');
  const smallDisk = mountSmallDisk(join(folder, 'pg'), '256m');
  const contexts = await nodeContexts(options, folder, secrets);
  const [first] = contexts;
  if (!first) throw new Error('a site needs a node');
  const redis = new Part(services.redisService(first, urls));
  const postgres = new Part(
    services.postgresService(
      { ...first, layout: { ...first.layout, stateDir: join(folder, 'pg'), runFolder: join(folder, 'pg') } },
      urls,
    ),
  );
  if (options.stores !== false) await Promise.all([redis.start(), postgres.start()]);
  // Without a server, the agent's own database needs more space.
  const smallStateDir =
    options.stores === false ? null : mountSmallDisk(join(first.layout.stateDir, 'agent'), '24m');
  const env = options.clockLibrary ? clockEnvironment(options.clockLibrary, clockFile) : {};
  // The agents of a site sign what they exchange through Redis.
  const intents = (options.nodes ?? 1) > 1 ? { INTENT_KEY: newPassword() } : {};
  const nodes = await Promise.all(
    contexts.map((context) => startNode(context, urls, { ...env, ...intents })),
  );
  return {
    id: options.id,
    folder,
    nodes,
    redis,
    postgres,
    urls,
    secrets,
    clockFile,
    smallDisk,
    smallStateDir,
    async stop() {
      for (const { agent } of nodes) await agent.stop();
      await Promise.all([...nodes.map(({ haproxy }) => haproxy.stop()), redis.stop(), postgres.stop()]);
      for (const mount of [smallDisk, smallStateDir]) if (mount) spawnSync('umount', [mount]);
      removeFolder(folder);
    },
  };
}

const clockEnvironment = (library: string, file: string): NodeJS.ProcessEnv => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_NO_CACHE: '1',
  DONT_FAKE_MONOTONIC: '1',
});

/** A file system that a fault can fill. Null without root. */
function mountSmallDisk(folder: string, size: string): string | null {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o711);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=711`, 'tmpfs', folder]);
  return mounted.status === 0 ? folder : null;
}

const PORTS_PER_NODE = 5;

async function nodeContexts(
  options: SiteOptions,
  folder: string,
  secrets: StackSecrets,
): Promise<services.StackContext[]> {
  const count = options.nodes ?? 1;
  const ports = await freePorts(count * PORTS_PER_NODE + 2);
  const [redisPort = 0, postgresPort = 0] = ports.splice(0, 2);
  const nodePorts = Array.from({ length: count }, (_, index) =>
    ports.slice(index * PORTS_PER_NODE, (index + 1) * PORTS_PER_NODE),
  );
  const gateways = nodePorts.map(([gateway]) => `http://${options.host}:${gateway}`);
  return nodePorts.map((own, index) => {
    const stateDir = join(folder, `n${index}`);
    const logs = join(stateDir, 'logs');
    mkdirSync(logs, { recursive: true });
    chmodSync(stateDir, 0o711);
    const text = stringify(nodeConfig({ options, stateDir, ports: own, gateways }));
    const configFile = join(stateDir, 'acgs-lb.yaml');
    writeFileSync(configFile, text, { mode: 0o600 });
    const config = parseConfig(text, configFile);
    return {
      secrets,
      derived: { text, config, edge: { host: '127.0.0.1', port: 0 }, notApplied: [] },
      layout: {
        root: join(import.meta.dirname, '../..'),
        stateDir,
        runFolder: stateDir,
        configFile,
        logs,
        redisPort,
        postgresPort,
        inspectorPort: 0,
      },
      options: {
        config: configFile,
        demo: false,
        embedded: false,
        noInstall: true,
        portOffset: 0,
        stateDir,
        kvLagMs: 0,
        kvDown: false,
        simulateClients: false,
        edge: 'miniflare',
        help: false,
      },
    };
  });
}

interface NodeSettings {
  options: SiteOptions;
  stateDir: string;
  ports: readonly number[];
  gateways: readonly string[];
}

function nodeConfig({ options, stateDir, ports, gateways }: NodeSettings): object {
  const { id, host, fleets, settings = {}, nodes = 1, publishUrl } = options;
  const [gateway = 0, stats = 0, api = 0, check = 0] = ports;
  return {
    version: 1,
    site: { id, gateways, ...(nodes > 1 ? { agents: nodes } : {}) },
    ...NO_LIMITS,
    edge: { url: publishUrl, publish: { kvApi: false } },
    agent: { bind: `127.0.0.1:${api}` },
    registry: { allowNetworks: ['127.0.0.0/8', '198.18.0.0/15'] },
    haproxy: {
      bind: [`${host}:${gateway}`],
      stats: `127.0.0.1:${stats}`,
      agentCheck: `127.0.0.1:${check}`,
      rateLimit: 'off',
      threads: 2,
      socket: join(stateDir, 'a.sock'),
      masterSocket: join(stateDir, 'm.sock'),
      file: join(stateDir, 'haproxy.cfg'),
    },
    services: Object.fromEntries(
      [...fleets].map(([name, fleet]) => [
        name,
        {
          routes: [`/${name}`],
          health: { path: '/health' },
          ...settings[name],
          instances: fleet.instances.map((one) => ({ id: one.id, url: `http://${one.host}:${one.port}` })),
        },
      ]),
    ),
  };
}

async function startNode(
  context: services.StackContext,
  urls: services.StoreUrls,
  agentEnv: NodeJS.ProcessEnv = {},
): Promise<SiteNode> {
  const { config } = context.derived;
  const { secrets } = context;
  await installHaproxyConfig({
    config,
    instances: configInstances(config),
    secrets: {
      statsUser: secrets.HAPROXY_STATS_USER,
      statsPassword: secrets.HAPROXY_STATS_PASSWORD,
      edgePublicKeys: secrets.EDGE_JWT_PUBLIC_KEYS,
    },
  });
  const haproxy = await new Part(services.haproxyService(context)).start();
  const stateDir = join(context.layout.stateDir, 'agent');
  mkdirSync(stateDir, { recursive: true });
  const agentContext = { ...context, layout: { ...context.layout, stateDir } };
  const agent = await new Part(services.agentService(agentContext, urls, agentEnv)).start();
  return {
    context,
    haproxy,
    agent,
    gateway: config.site.gateways[0] ?? '',
    api: `http://${config.agent.bind}`,
    socket: config.haproxy.socket,
    masterSocket: config.haproxy.masterSocket,
  };
}
