import type { Config, HealthCheck, ServiceConfig } from '../../../shared/config/config.ts';
import { connectAddress, serverAddress } from '../socket/address.ts';
import { GRPC_ANSWER, GRPC_SERVING, grpcCheckBytes } from './grpc-check.ts';
import { haproxyPaths, type RenderInstance } from './input.ts';
import { queueLimit } from './overload.ts';
import { formatDuration, quoteArgument, quoteLogFormat } from './quoting.ts';

/**
 * The `server` line of one instance. Every server carries all its settings, because `add server` ignores
 * `default-server`.
 */
export const serverLine = (
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string => lineOf(instance, serverOptions(config, service, instance, count));

/**
 * The same server in the backend for long-lived connections. It follows the health of the first server. HAProxy cannot
 * delete a server that another server follows, so an instance that was registered at run time has two independent servers.
 */
export function longLivedServerLine(
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string {
  const isConfigured = service.instances.some(({ id }) => id === instance.id);
  if (!isConfigured) return lineOf(instance, longLivedServerOptions(config, service, instance, count));
  return lineOf(instance, [
    ...longLivedLimits(service, instance),
    `track ${service.id}/${instance.id}`,
    ...backupOption(instance),
    ...connectionOptions(config, service, instance),
  ]);
}

function lineOf(instance: RenderInstance, options: readonly string[]): string {
  const address = serverAddress(instance.url);
  const names = address.named ? ['resolvers _dns', 'init-addr last,libc,none'] : [];
  return ['server', instance.id, address.text, ...options, ...names].join(' ');
}

/** The options that the file and `add server` share: all except name resolution. */
export function serverOptions(
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string[] {
  const maxconn = instance.maxconn ?? service.maxconn;
  return [
    `weight ${instance.weight}`,
    `maxconn ${maxconn}`,
    // With a full queue HAProxy redispatches a targeted request instead of letting it time out.
    `maxqueue ${queueLimit(maxconn)}`,
    ...checkOptions(config, service, instance, count),
    ...backupOption(instance),
    ...connectionOptions(config, service, instance),
  ];
}

/** The options of a server in the backend for long-lived connections that has its own checks. */
export const longLivedServerOptions = (
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string[] => [
  ...longLivedLimits(service, instance),
  ...checkOptions(config, service, instance, count),
  ...backupOption(instance),
  ...connectionOptions(config, service, instance),
];

const longLivedLimits = ({ longLived }: ServiceConfig, { weight }: RenderInstance): string[] => [
  `weight ${weight}`,
  `maxconn ${longLived.maxconn}`,
  // The shortest queue: when it is full, HAProxy sends even a request with a session to another server.
  'maxqueue 1',
];

const backupOption = ({ priority }: RenderInstance): string[] => (priority > 1 ? ['backup'] : []);

function checkOptions(
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string[] {
  const { health } = service;
  const agent = connectAddress(config.haproxy.agentCheck);
  return [
    'check',
    `inter ${formatDuration(health.interval)}`,
    `fastinter ${formatDuration(health.fastInterval)}`,
    // A recovered server returns within seconds, even if the normal check interval is long.
    `downinter ${formatDuration(Math.min(health.interval, Math.max(health.fastInterval, 2_000)))}`,
    `rise ${health.rise}`,
    `fall ${health.fall}`,
    // Not the status of responses: one URL with an error would let a client take out every server, the last one too.
    'observe layer4 error-limit 10 on-error fail-check',
    'agent-check',
    `agent-addr ${agent.host}`,
    `agent-port ${agent.port}`,
    `agent-inter ${formatDuration(agentInterval(count))}`,
    `agent-send ${quoteArgument(`${service.id}/${instance.id}\n`)}`,
  ];
}

/**
 * Milliseconds between two agent-checks of a server. All servers together get about 100 checks a second at most, because
 * the admin socket already sets the verdicts.
 */
const agentInterval = (count: number): number => Math.max(2_000, Math.ceil(count / 100) * 1000);

/** How HAProxy speaks to the server. Its checks do the same. */
function connectionOptions(config: Config, service: ServiceConfig, instance: RenderInstance): string[] {
  const secure = new URL(instance.url).protocol === 'https:';
  const http2 = service.protocol === 'http2';
  return [
    ...(secure ? tlsOptions(config, service, instance) : []),
    ...(secure && http2 ? ['alpn h2', 'check-alpn h2'] : []),
    ...(http2 ? ['proto h2'] : []),
  ];
}

function tlsOptions(config: Config, service: ServiceConfig, instance: RenderInstance): string[] {
  const tls = service.health.tls;
  const { host, named } = serverAddress(instance.url);
  const name = tls?.serverName ?? (named ? host : undefined);
  const certificate = tls?.key ? haproxyPaths(config).clientCertificate(service.id) : tls?.cert;
  return [
    'ssl',
    ...(tls?.verify === false
      ? ['verify none']
      : ['verify required', `ca-file ${quoteArgument(tls?.ca ?? '@system-ca')}`]),
    ...(tls?.verify !== false && name ? [`verifyhost ${quoteArgument(name)}`] : []),
    ...(name ? [`sni ${quoteArgument(`str(${name})`)}`, `check-sni ${quoteArgument(name)}`] : []),
    ...(certificate ? [`crt ${quoteArgument(certificate)}`] : []),
  ];
}

/** `option httpchk` and the expected status; empty for services with TCP checks. */
export function checkLines(service: ServiceConfig, instances: readonly RenderInstance[]): string[] {
  const { health } = service;
  if (health.type === 'tcp') return [];
  if (health.type === 'grpc') return grpcCheckLines(service, instances);
  const { host, ...headers } = health.headers;
  const fields = { Host: host ?? checkHost(service, instances), ...headers, 'User-Agent': 'acgs-lb-haproxy' };
  const sent = Object.entries(fields).map(
    ([name, value]) => `hdr ${quoteArgument(name)} ${quoteLogFormat(value)}`,
  );
  return [
    `option httpchk ${health.method} ${quoteArgument(health.path)}`,
    // HTTP/1.1, as clients use it.
    `http-check send ver HTTP/1.1 ${sent.join(' ')}`,
    `http-check expect status ${statusList(health)}`,
  ];
}

function grpcCheckLines(service: ServiceConfig, instances: readonly RenderInstance[]): string[] {
  const host = service.health.headers.host ?? checkHost(service, instances);
  const secure = instances.some(({ url }) => url.startsWith('https:'));
  return [
    'option tcp-check',
    `tcp-check send-binary ${grpcCheckBytes({ host, secure })}`,
    `tcp-check expect rbinary ${GRPC_ANSWER}`,
    // With `min-recv` HAProxy does not wait for more bytes when there is no match.
    `tcp-check expect min-recv 1 on-error 'gRPC health is not SERVING' rbinary ${GRPC_SERVING}`,
  ];
}

const statusList = (health: HealthCheck): string =>
  health.expect.status.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');

/** One Host header for all instances of a backend: HAProxy cannot vary it per server. */
function checkHost(service: ServiceConfig, instances: readonly RenderInstance[]): string {
  if (service.hosts[0]) return service.hosts[0];
  const names = new Set(instances.map((instance) => new URL(instance.url).hostname));
  const [only] = names;
  return names.size === 1 && only ? only : service.id;
}
