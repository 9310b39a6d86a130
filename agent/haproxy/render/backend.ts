import type { Config, ServiceConfig } from '../../../shared/config/config.ts';
import { extraServiceLines } from '../../../shared/config/extra.ts';
import { accessLines, PATH_CHECKS } from './access.ts';
import { markExtraLines } from './extra-lines.ts';
import { haproxyPaths, type RenderInstance } from './input.ts';
import { formatDuration, quoteArgument } from './quoting.ts';
import { checkLines, queueLimit, serverLine } from './server-line.ts';

/** The lines of one service's backend. `count` is the number of servers of all services. */
export function backendLines(
  config: Config,
  service: ServiceConfig,
  instances: readonly RenderInstance[],
  count: number,
): string[] {
  return [
    ...balanceLines(config, service),
    `timeout server ${formatDuration(service.timeout)}`,
    ...(service.health.timeout === config.haproxy.timeouts.check
      ? []
      : [`timeout check ${formatDuration(service.health.timeout)}`]),
    ...checkLines(service, instances),
    ...(config.haproxy.mode === 'beside' ? besideLines(config, service) : []),
    ...accessLines(service.access),
    ...overloadLines(service, instances),
    ...affinityLines(config, service),
    ...markExtraLines(extraServiceLines(config.haproxy.extra, service.id)),
    // The edge's choice. If it is unknown, full or down, HAProxy balances instead; x-acgs-instance names the server.
    'use-server %[var(txn.target)] if { var(txn.target) -m found }',
    ...backupLines(instances),
    ...sorted(instances).map((instance) => serverLine(config, service, instance, count)),
  ];
}

/** What our own frontend does for its requests, for those of the operator's frontends. */
const besideLines = (config: Config, service: ServiceConfig): string[] => [
  `server-state-file-name ${quoteArgument(haproxyPaths(config).state)}`,
  ...(service.access.length > 0 ? PATH_CHECKS : []),
  'http-request del-header x-acgs- -m beg',
  'http-request disable-l7-retry unless METH_GET',
  'http-response del-header x-acgs- -m beg',
  'http-response set-header x-acgs-instance %s',
];

/**
 * HAProxy sets no limit to a backend's own queue. Without a limit, an overloaded service holds every request for `timeout
 * queue`: answers and errors are late, and the waiting requests take connections from the other services. `avg_queue` is
 * the queue for each serving server.
 */
const overloadLines = (service: ServiceConfig, instances: readonly RenderInstance[]): string[] => {
  const maxconn = Math.max(service.maxconn, ...instances.map((instance) => instance.maxconn ?? 0));
  return [`http-request deny deny_status 503 if { avg_queue gt ${queueLimit(maxconn)} }`];
};

/**
 * What each strategy is in HAProxy. `random(6)` draws six servers by weight and takes the one with the fewest requests per
 * unit of weight: nearly the shortest queue, and weights also count while all servers are idle, which `leastconn` ignores.
 */
const BALANCE: Record<ServiceConfig['strategy'], readonly string[]> = {
  least_response_time: ['balance random(6)'],
  least_connections: ['balance leastconn'],
  round_robin: ['balance roundrobin'],
  weighted_round_robin: ['balance roundrobin'],
  consistent_hash: ['balance hash src', 'hash-type consistent', 'hash-balance-factor 125'],
  random: ['balance random'],
};

function balanceLines({ haproxy: { balance } }: Config, { strategy }: ServiceConfig): readonly string[] {
  if (balance === undefined) return BALANCE[strategy];
  const isHash = balance === 'source' || balance === 'uri';
  return [`balance ${balance}`, ...(isHash ? ['hash-type consistent'] : [])];
}

/** Backups in order of priority: HAProxy uses the first available one, or all of them if their priorities are equal. */
const sorted = (instances: readonly RenderInstance[]): RenderInstance[] =>
  [...instances].sort((a, b) => a.priority - b.priority);

function backupLines(instances: readonly RenderInstance[]): string[] {
  const levels = instances.map((instance) => instance.priority).filter((priority) => priority > 1);
  return levels.length > 1 && new Set(levels).size === 1 ? ['option allbackups'] : [];
}

/**
 * The stick-table of the original guide. A request with a session id stays with its instance. Requests without one are
 * balanced, so an office behind one address does not load a single instance.
 */
function affinityLines(config: Config, service: ServiceConfig): string[] {
  const { by, header } = service.affinity;
  if (!config.haproxy.affinity || by === 'none') return [];
  const peers = config.haproxy.peers.length > 0 ? ' peers _site' : '';
  const session = {
    ip: [],
    header: [`${quoteArgument(`req.hdr(${header ?? 'x-governance-session'})`)} -m found`],
    cookie: ['req.cook(acgs_affinity) -m found', 'req.hdr(x-governance-session) -m found'],
  }[by];
  const anyOf = session.map((test) => `!{ var(txn.target) -m found } { ${test} }`).join(' || ');
  return [
    `stick-table type ipv6 size 100k expire 30s${peers}`,
    `stick on src if ${anyOf || '!{ var(txn.target) -m found }'}`,
  ];
}
