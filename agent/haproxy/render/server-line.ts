import type { Config, HealthCheck, ServiceConfig } from '../../../shared/config/config.ts';
import { haproxyPaths, type RenderInstance } from './input.ts';
import { connectAddress, formatDuration, quoteArgument, quoteLogFormat, serverAddress } from './quoting.ts';

/**
 * `server …` of one instance, the same words whether they go into the file or into `add server` (which ignores
 * `default-server`, so every server carries all of its settings).
 */
export function serverLine(
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string {
  const address = serverAddress(instance.url);
  return [
    'server',
    instance.id,
    address.text,
    ...serverOptions(config, service, instance, count),
    ...(address.named ? ['resolvers _dns', 'init-addr last,libc,none'] : []),
  ].join(' ');
}

/** What `add server` accepts: all but name resolution. */
export function serverOptions(
  config: Config,
  service: ServiceConfig,
  instance: RenderInstance,
  count: number,
): string[] {
  const maxconn = instance.maxconn ?? service.maxconn;
  const { health } = service;
  const agent = connectAddress(config.haproxy.agentCheck);
  return [
    `weight ${instance.weight}`,
    `maxconn ${maxconn}`,
    // A full queue sends a targeted request elsewhere instead of letting it time out.
    `maxqueue ${Math.max(16, maxconn)}`,
    'check',
    `inter ${formatDuration(health.interval)}`,
    `fastinter ${formatDuration(health.fastInterval)}`,
    // Back in traffic seconds after it is well again, however seldom it is checked while it is well.
    `downinter ${formatDuration(Math.min(health.interval, Math.max(health.fastInterval, 2_000)))}`,
    `rise ${health.rise}`,
    `fall ${health.fall}`,
    'observe layer7 error-limit 10 on-error fail-check',
    'agent-check',
    `agent-addr ${agent.host}`,
    `agent-port ${agent.port}`,
    `agent-inter ${formatDuration(agentInterval(count))}`,
    `agent-send ${quoteArgument(`${service.id}/${instance.id}\n`)}`,
    ...(instance.priority > 1 ? ['backup'] : []),
    ...tlsOptions(config, service, instance),
  ];
}

/** Agent-checks only confirm what the socket was told: 100 a second are plenty. Milliseconds. */
const agentInterval = (count: number): number => Math.max(2_000, Math.ceil(count / 100) * 1000);

function tlsOptions(config: Config, service: ServiceConfig, instance: RenderInstance): string[] {
  const url = new URL(instance.url);
  if (url.protocol !== 'https:') return [];
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

/** `option httpchk` and what it expects; nothing for services that are only connected to. */
export function checkLines(service: ServiceConfig, instances: readonly RenderInstance[]): string[] {
  const { health } = service;
  if (health.type === 'tcp') return [];
  const { host, ...headers } = health.headers;
  const fields = { Host: host ?? checkHost(service, instances), ...headers, 'User-Agent': 'acgs-lb-haproxy' };
  const sent = Object.entries(fields).map(
    ([name, value]) => `hdr ${quoteArgument(name)} ${quoteLogFormat(value)}`,
  );
  return [
    `option httpchk ${health.method} ${quoteArgument(health.path)}`,
    // HTTP/1.1 as clients speak it; close, since a check never comes twice on one connection.
    `http-check send ver HTTP/1.1 ${sent.join(' ')}`,
    `http-check expect status ${statusList(health)}`,
  ];
}

const statusList = (health: HealthCheck): string =>
  health.expect.status.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');

/** One Host for all instances of a backend: HAProxy cannot tell checks apart by server. */
function checkHost(service: ServiceConfig, instances: readonly RenderInstance[]): string {
  if (service.hosts[0]) return service.hosts[0];
  const names = new Set(instances.map((instance) => new URL(instance.url).hostname));
  const [only] = names;
  return names.size === 1 && only ? only : service.id;
}
