import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DerivedConfig, portOf } from '../../agent/cli/local-stack.ts';
import type { StackOptions } from '../options.mjs';
import { type Child, type RunningServer, startChild, waitUntilReady } from '../servers/child.ts';
import { startHaproxy } from '../servers/haproxy.ts';
import { startPostgres } from '../servers/postgres.ts';
import { startRedis } from '../servers/redis.ts';
import { tcpRequest } from '../servers/tcp-request.ts';
import type { DemoInstance, StackLayout } from './layout.ts';
import type { StackSecrets } from './secrets.ts';
import type { StackService } from './supervisor.ts';

export interface StackContext {
  layout: StackLayout;
  derived: DerivedConfig;
  secrets: StackSecrets;
  options: StackOptions;
}

/** Set when the stores start; used by the agent's environment and stack.json. */
export interface StoreUrls {
  redis: string | null;
  postgres: string | null;
}

export function redisService({ layout, secrets }: StackContext, urls: StoreUrls): StackService {
  return {
    name: 'redis',
    async start(onSpawn) {
      const redis = await startRedis({
        port: layout.redisPort,
        password: secrets.REDIS_PASSWORD,
        logFile: join(layout.logs, 'redis.log'),
        parent: layout.runFolder,
        onSpawn,
      });
      urls.redis = redis.url;
      return redis;
    },
  };
}

export function postgresService({ layout }: StackContext, urls: StoreUrls): StackService {
  const persistent = join(layout.stateDir, 'postgres');
  const dataDir = canBeEntered(layout.stateDir) ? persistent : join(layout.runFolder, 'postgres');
  return {
    name: 'postgres',
    async start(onSpawn) {
      const postgres = await startPostgres({
        port: layout.postgresPort,
        dataDir,
        logFile: join(layout.logs, 'postgres.log'),
        parent: layout.runFolder,
        onSpawn,
      });
      urls.postgres = postgres.url;
      return postgres;
    },
  };
}

/** As root, Postgres runs as another user, which needs access to every parent folder. /root denies it. */
function canBeEntered(folder: string): boolean {
  if (process.getuid?.() !== 0) return true;
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false;
  }
  return true;
}

export function haproxyService({ layout, derived }: StackContext): StackService {
  return {
    name: 'haproxy',
    start: (onSpawn) =>
      startHaproxy({
        configFile: derived.config.haproxy.file,
        masterSocket: derived.config.haproxy.masterSocket,
        logFile: join(layout.logs, 'haproxy.log'),
        parent: layout.runFolder,
        onSpawn,
      }),
  };
}

/** The command that starts a demo instance by hand. */
export function instanceCommand({ service, id, port }: DemoInstance): string {
  return `node_modules/.bin/node dev/instance.ts ${service} ${id} ${port}`;
}

export function instanceService({ layout }: StackContext, instance: DemoInstance): StackService {
  const { service, id, port } = instance;
  return {
    name: id,
    exitHint: `Restart it with: ${instanceCommand(instance)}`,
    start: (onSpawn) =>
      startNode(layout, {
        name: id,
        args: ['dev/instance.ts', service, id, String(port)],
        onSpawn,
        ready: async () =>
          (await tcpRequest({ port, host: '127.0.0.1' }, 'GET /health HTTP/1.0\r\n\r\n')).includes(' 200 '),
      }),
  };
}

/** As in bin/acgs-lb.mjs. */
export const AGENT_MALLOC = { MALLOC_MMAP_THRESHOLD_: '131072' };
/** As in bin/acgs-lb.mjs. */
export const AGENT_HEAP_OPTIONS = ['--max-semi-space-size=4', '--heap-growing-percent=25'];

/** What the agent's environment has instead of, and in addition to, the variables of `npm start`. */
export function agentVariables(
  { layout, secrets }: Pick<StackContext, 'layout' | 'secrets'>,
  urls: StoreUrls,
): NodeJS.ProcessEnv {
  return {
    ENVIRONMENT: 'development',
    ACGS_TOKEN: secrets.ACGS_TOKEN,
    EDGE_TOKEN: secrets.EDGE_TOKEN,
    SNAPSHOT_SIGNING_KEY: secrets.SNAPSHOT_SIGNING_KEY,
    EDGE_JWT_PUBLIC_KEYS: secrets.EDGE_JWT_PUBLIC_KEYS,
    HAPROXY_STATS_USER: secrets.HAPROXY_STATS_USER,
    HAPROXY_STATS_PASSWORD: secrets.HAPROXY_STATS_PASSWORD,
    // As in bin/acgs-lb.mjs.
    NODE_COMPILE_CACHE: join(layout.root, '.build/compile-cache'),
    ...AGENT_MALLOC,
    // The local stack must not use the operator's cloud account.
    CF_API_TOKEN: undefined,
    CF_ACCOUNT_ID: undefined,
    CF_KV_NAMESPACE_ID: undefined,
    REDIS_URL: urls.redis ?? undefined,
    DATABASE_URL: urls.postgres ?? undefined,
  };
}

/** `more` is added to the environment of the process. */
export function agentService(
  context: StackContext,
  urls: StoreUrls,
  more: NodeJS.ProcessEnv = {},
): StackService {
  const { layout, derived } = context;
  const args = [
    ...AGENT_HEAP_OPTIONS,
    'agent/main.ts',
    '--config',
    layout.configFile,
    '--state-dir',
    layout.stateDir,
  ];
  const url = `http://127.0.0.1:${portOf(derived.config.agent.bind)}/health`;
  return {
    name: 'agent',
    start: (onSpawn) =>
      startNode(layout, {
        name: 'agent',
        args,
        env: { ...agentVariables(context, urls), ...more },
        onSpawn,
        ready: async () => (await fetch(url)).ok,
      }),
  };
}

/** `more` overrides the Worker's variables; `args` are added to the command. */
export function edgeService(
  { layout, derived, secrets, options }: StackContext,
  more: NodeJS.ProcessEnv = {},
  moreArgs: readonly string[] = [],
): StackService {
  const { port } = derived.edge;
  const env = {
    SITES: derived.config.site.id,
    SNAPSHOT_PUBLIC_KEYS: secrets.SNAPSHOT_PUBLIC_KEYS,
    FALLBACK_ORIGIN: derived.config.site.gateways[0] ?? '',
    COOKIE_KEYS: secrets.COOKIE_KEYS,
    GATEWAY_JWT_KEY: secrets.GATEWAY_JWT_KEY,
    EDGE_TOKEN: secrets.EDGE_TOKEN,
    // wrangler dev uses Miniflare's entry, which sets the client address as Cloudflare does.
    CLIENT_ADDRESS_FROM: options.edge === 'wrangler' ? 'cloudflare' : 'local',
    // Every request can be looked up with `acgs-lb trace`.
    TRACE_SAMPLE: '1',
    ...(options.simulateClients && { SIMULATE_CLIENTS: '1' }),
    ...more,
  };
  const persist = join(layout.stateDir, 'edge');
  mkdirSync(persist, { recursive: true });
  const args =
    options.edge === 'wrangler'
      ? [
          ...['dev/edge-wrangler.ts', '--port', String(port), '--persist', persist],
          ...['--inspector-port', String(layout.inspectorPort), '--run-dir', layout.runFolder],
        ]
      : [
          ...['dev/edge.ts', '--port', String(port), '--persist', persist],
          ...['--build-dir', join(layout.runFolder, 'worker'), '--kv-lag-ms', String(options.kvLagMs)],
          ...(options.kvDown ? ['--kv-down'] : []),
        ];
  return {
    name: 'edge',
    start: (onSpawn) =>
      startNode(layout, {
        name: 'edge',
        args: [...args, ...moreArgs],
        env,
        onSpawn,
        ready: async () => (await fetch(`http://127.0.0.1:${port}/__acgs/health`)).ok,
      }),
  };
}

interface NodeProcess {
  name: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  onSpawn: (child: Child) => void;
  ready: () => Promise<boolean>;
}

/** Starts a script of this checkout with the pinned Node, and waits until it is ready. */
async function startNode(
  layout: StackLayout,
  { name, args, env, onSpawn, ready }: NodeProcess,
): Promise<RunningServer> {
  const child = await startChild({
    name,
    command: process.execPath,
    args,
    cwd: layout.root,
    env: {
      ...process.env,
      // Node warns that type stripping is experimental.
      NODE_NO_WARNINGS: '1',
      NODE_COMPILE_CACHE: join(layout.root, '.build/node'),
      ...env,
    },
    logFile: join(layout.logs, `${name}.log`),
    onSpawn,
  });
  await waitUntilReady(child, ready, { timeoutMs: 60_000 });
  return { child, stop: () => child.stop() };
}
