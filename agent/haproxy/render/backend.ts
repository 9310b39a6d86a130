import type { Config, ServiceConfig } from '../../../shared/config/config.ts';
import { extraServiceLines } from '../../../shared/config/extra.ts';
import { accessLines, PATH_CHECKS } from './access.ts';
import { markExtraLines } from './extra-lines.ts';
import { haproxyPaths, type RenderInstance } from './input.ts';
import { longLivedOverloadLines, overloadLines, type PriorityClasses } from './overload.ts';
import { formatDuration, quoteArgument } from './quoting.ts';
import { checkLines, longLivedServerLine, serverLine } from './server-line.ts';

export interface BackendInput {
  config: Config;
  service: ServiceConfig;
  instances: readonly RenderInstance[];
  /** The servers of all services. */
  count: number;
  classes: PriorityClasses;
}

/** The lines of a service's backend for ordinary requests. */
export function backendLines(input: BackendInput): string[] {
  const { config, service, instances, count } = input;
  return [
    ...balanceLines(config, service),
    `timeout server ${formatDuration(service.timeout)}`,
    ...policyLines(input, { stickTable: stickTableLines(config, service), table: '' }),
    ...sorted(instances).map((instance) => serverLine(config, service, instance, count)),
  ];
}

/**
 * The lines of a service's backend for long-lived connections: the same rules and servers, whose health comes from the
 * servers of the backend for ordinary requests.
 */
export function longLivedBackendLines(input: BackendInput): string[] {
  const { config, service, instances, count } = input;
  return [
    // Connections that stay open add up, so balance by their number.
    ...(service.strategy === 'consistent_hash' ? balanceLines(config, service) : ['balance leastconn']),
    `timeout server ${formatDuration(service.longLived.idle)}`,
    // Without it the kernel holds back the first bytes of an event stream for 200 ms, in case more follow.
    'option http-no-delay',
    // After the handshake a WebSocket has `timeout tunnel`.
    `http-request set-timeout server ${formatDuration(service.timeout)} if { var(txn.websocket) -m bool }`,
    ...policyLines(input, { stickTable: [], table: ` table ${service.id}` }),
    ...sorted(instances).map((instance) => longLivedServerLine(config, service, instance, count)),
  ];
}

/** The lines that both backends of a service share. `table`: the stick table of the other backend; empty for its own. */
function policyLines(
  input: BackendInput,
  { stickTable, table }: { stickTable: readonly string[]; table: string },
): string[] {
  const { config, service, instances } = input;
  return [
    ...(service.health.timeout === config.haproxy.timeouts.check
      ? []
      : [`timeout check ${formatDuration(service.health.timeout)}`]),
    ...checkLines(service, instances),
    ...(config.haproxy.mode === 'beside' ? besideLines(config, service) : []),
    ...accessLines(service.access),
    // gRPC servers require it: they send their status in trailers.
    ...(service.protocol === 'http2' ? ['http-request set-header TE trailers'] : []),
    // After the wait, because the queue may have filled meanwhile.
    ...(table === '' ? waitForBody(config, service) : []),
    ...(table === '' ? overloadLines : longLivedOverloadLines)(input),
    ...cookieLines(config, service),
    ...stickTable,
    ...stickLines(config, service, table),
    ...markExtraLines(extraServiceLines(config.haproxy.extra, service.id)),
    // The edge's choice. If it is unknown, full or down, HAProxy balances instead; x-acgs-instance names the server.
    'use-server %[var(txn.target)] if { var(txn.target) -m found }',
    ...backupLines(instances),
  ];
}

/** Or as much as fits into HAProxy's buffer. The rest of a longer body is sent while an instance reads it. */
const AWAITED_BYTES = 16_384;
/** Longer bodies that one address may send at the same time. */
const LONG_UPLOADS = 16;

/**
 * A client that sends its body slowly could occupy an instance without limit. So HAProxy first waits for the body, or for
 * its start; the edge does the same for its requests. gRPC answers before the body of a stream ends.
 */
function waitForBody({ haproxy }: Config, { protocol }: ServiceConfig): string[] {
  if (haproxy.mode === 'beside' || protocol === 'http2') return [];
  const unlessRelayed = '!{ var(txn.relayed) -m bool }';
  return [
    `http-request wait-for-body time ${formatDuration(haproxy.timeouts.request)} at-least ${AWAITED_BYTES} if ${unlessRelayed}`,
    // Without a limit per address, one address may stand for many clients.
    ...(haproxy.rateLimit
      ? [
          `http-request track-sc2 src,ipmask(32,64) table _uploads if ${unlessRelayed} { req.body_size gt ${AWAITED_BYTES} }`,
          `http-request deny deny_status 429 if ${unlessRelayed} { sc2_conn_cur(_uploads) gt ${LONG_UPLOADS} }`,
        ]
      : []),
    // For the log: the instance may have to wait for the rest of the body. The edge sends 64 KiB at once.
    `http-request set-var(txn.upload) bool(true) if { req.body_size gt ${AWAITED_BYTES} } || !{ var(txn.ordinary) -m bool } { req.fhdr(transfer-encoding) -m found } { var(txn.relayed) -m bool }`,
  ];
}

/** What our own frontend does for its requests, here for requests of the operator's frontends. */
const besideLines = (config: Config, service: ServiceConfig): string[] => [
  `server-state-file-name ${quoteArgument(haproxyPaths(config).state)}`,
  ...(service.access.length > 0 ? PATH_CHECKS : []),
  ...besideLimitLines(config),
  'http-request del-header x-acgs- -m beg',
  'http-request disable-l7-retry unless METH_GET',
  'http-response del-header x-acgs- -m beg',
  'http-response set-header x-acgs-instance %s',
];

/**
 * `haproxy.rateLimit` for a request that a frontend of the operator sends here. Our own frontend has already counted its
 * requests. Configurations rarely use counter 2.
 */
function besideLimitLines({ haproxy: { rateLimit } }: Config): string[] {
  if (!rateLimit) return [];
  const problem = JSON.stringify({ type: 'about:blank', title: 'Too Many Requests', status: 429 });
  const retryAfter = Math.ceil(rateLimit.windowMs / 1000);
  return [
    'http-request track-sc2 src,ipmask(32,64) table _limit unless { fe_name _gateway }',
    `http-request deny status 429 content-type application/problem+json hdr Cache-Control no-store hdr Retry-After ${retryAfter} string '${problem}' if !{ fe_name _gateway } { sc2_http_req_rate(_limit) gt ${rateLimit.limit} }`,
  ];
}

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
function stickTableLines(config: Config, service: ServiceConfig): string[] {
  if (!isSticky(config, service)) return [];
  const peers = config.haproxy.peers.length > 0 ? ' peers _site' : '';
  return [`stick-table type ipv6 size 100k expire 30s${peers}`];
}

const isSticky = ({ haproxy }: Config, { affinity }: ServiceConfig): boolean =>
  haproxy.affinity && affinity.by !== 'none';

/**
 * The cookie of a client that does not come through the edge. It names the instance, so every HAProxy of the site
 * understands it, also for instances that were registered at run time. Public answers get no cookie, because caches share
 * them. Any other answer with the cookie is marked `private`, because a cache may keep it even without `Cache-Control`
 * (RFC 9111 §4.2.2 and §7.3).
 */
function cookieLines(config: Config, service: ServiceConfig): string[] {
  const { by, ttl } = service.affinity;
  if (by !== 'cookie' || !isSticky(config, service)) return [];
  const name = gatewayCookie(service.id);
  const attributes = `Path=/; Max-Age=${Math.round(ttl / 1000)}; HttpOnly; SameSite=Lax`;
  const set = (field: string, condition: string, except = 'public|s-maxage'): string =>
    `http-response add-header ${field} if ${condition}!{ var(txn.relayed) -m bool } !{ srv_name,strcmp(txn.cookie) eq 0 } !{ res.hdr(cache-control) -m reg -i ${except} }`;
  return [
    `http-request set-var(txn.cookie) req.cook(${name}) if !{ var(txn.relayed) -m bool }`,
    'http-request set-var(txn.target) var(txn.cookie) if !{ var(txn.target) -m found } { var(txn.cookie) -m found }',
    // For the log: whether the client keeps cookies.
    'http-request set-var(txn.sessionless) bool(true) if !{ var(txn.target) -m found } !{ req.cook(acgs_affinity) -m found } !{ req.hdr(x-governance-session) -m found }',
    set(`Set-Cookie '${name}=%s; ${attributes}; Secure'`, '{ var(txn.proto) -m str https } '),
    set(`Set-Cookie '${name}=%s; ${attributes}'`, '!{ var(txn.proto) -m str https } '),
    set('Cache-Control private', '', 'public|s-maxage|private|no-store'),
  ];
}

/** One for each service, because a browser sends the cookies of a host to all services. */
const gatewayCookie = (service: string): string => `acgs_${service}`;

function stickLines(config: Config, service: ServiceConfig, table: string): string[] {
  if (!isSticky(config, service)) return [];
  const { by, header } = service.affinity;
  const session = {
    none: [],
    ip: [],
    header: [`${quoteArgument(`req.hdr(${header ?? 'x-governance-session'})`)} -m found`],
    cookie: ['req.cook(acgs_affinity) -m found', 'req.hdr(x-governance-session) -m found'],
  }[by];
  const anyOf = session.map((test) => `!{ var(txn.target) -m found } { ${test} }`).join(' || ');
  return [`stick on src${table} if ${anyOf || '!{ var(txn.target) -m found }'}`];
}
