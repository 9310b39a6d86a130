import { durationText, parseDuration } from '../../../../shared/config/scalars.ts';
import { effective, lastOf, obsoleteReason, type ProxySection } from '../file/proxies.ts';
import { ImportReport } from '../file/report.ts';
import { keywordOf, type Statement } from '../file/sections.ts';
import { isId, toDuration } from '../file/values.ts';
import { wordTable } from '../file/word-table.ts';
import { effectiveChecks, type HealthDraft, isHealthStatement, readHealth } from './health.ts';
import { readServer, type ServerDraft } from './server.ts';

/** A backend that becomes a service. */
export interface ServiceDraft {
  name: string;
  servers: ServerDraft[];
  strategy: string | null;
  /** The keys that differ from acgs-lb's defaults, without routes and instances. */
  settings: Record<string, unknown>;
  /** Statements for `haproxy.extra.services.<name>`. */
  extra: ExtraStatement[];
}

/** A line for `haproxy.extra`, from a line of the operator's file. */
export interface ExtraStatement {
  text: string;
  statement: Statement;
}

export interface ServiceOptions {
  /** The backend's part of the section. */
  statements: readonly Statement[];
  /** Only the gateway uses the backend, and it sets `X-Forwarded-For`. */
  onlyGateway: boolean;
}

/** The service, with a report of its statements; or why the backend stays as it is. */
export function readService(
  proxy: ProxySection,
  { statements, onlyGateway }: ServiceOptions,
): { draft: ServiceDraft; report: ImportReport } | string {
  const blocked = blockedReason(proxy, statements);
  if (blocked !== null) return blocked;
  const defaultServers = [...(proxy.defaults?.body ?? []), ...statements].filter(
    ({ words }) => words[0] === 'default-server',
  );
  const servers: ServerDraft[] = [];
  for (const statement of statements.filter(({ words }) => words[0] === 'server')) {
    const server = readServer(statement, defaultServers);
    if (typeof server === 'string') return server;
    servers.push(server);
  }
  const report = new ImportReport();
  for (const statement of defaultServers) report.take(statement, 'each instance, and health');
  const draft: ServiceDraft = {
    name: proxy.name,
    servers: servers.filter(({ off }) => off === null),
    strategy: null,
    settings: {},
    extra: [],
  };
  if (draft.servers.length === 0) return 'it has no server that takes traffic';
  if (new Set(draft.servers.map(({ http2 }) => http2)).size > 1)
    return 'some of its servers use HTTP/2, others do not';
  if (draft.servers[0]?.http2) draft.settings.protocol = 'http2';
  for (const server of servers) reportServer(server, report);
  readSettings(proxy, { draft, report, statements, onlyGateway });
  return { draft, report };
}

const BLOCKING = new Set([
  'dispatch',
  'server-template',
  'use-fcgi-app',
  'option transparent',
  'option http_proxy',
  'redis-check',
]);

function blockedReason({ name, mode }: ProxySection, statements: readonly Statement[]): string | null {
  if (mode !== 'http') return `mode ${mode}: acgs-lb balances HTTP services only`;
  if (!isId(name)) return `the name ${name || '(empty)'} is not a valid service id`;
  const blocking = statements.find((statement) => BLOCKING.has(keywordOf(statement)));
  if (blocking) return `${keywordOf(blocking)} has no equivalent in acgs-lb.yaml`;
  if (statements.some(({ lines }) => lines > 1)) return 'it has a conditional block';
  return statements.some(({ words }) => words[0] === 'server') ? null : 'it has no server';
}

function reportServer({ statement, off, lost, url }: ServerDraft, report: ImportReport): void {
  if (off !== null) report.refuse(statement, `${off}; add the instance when it should serve`);
  else
    report.take(statement, `an instance at ${url}${lost.length > 0 ? `, without ${lost.join(', ')}` : ''}`);
}

interface SettingsContext extends ServiceOptions {
  draft: ServiceDraft;
  report: ImportReport;
}

function readSettings(proxy: ProxySection, context: SettingsContext): void {
  const { draft, report, statements } = context;
  const own = statements.filter(isHealthStatement);
  const inherited = (proxy.defaults?.body ?? []).filter(isHealthStatement);
  const health = readHealth(effectiveChecks(own, inherited), report);
  const timeout = toDuration(effective(proxy, 'timeout server')?.words[2]);
  if (timeout !== null) draft.settings.timeout = timeout;
  const balance = effective(proxy, 'balance');
  draft.strategy = STRATEGIES[balance?.words[1] ?? 'roundrobin'] ?? null;
  draft.settings.strategy = draft.strategy ?? 'round_robin';
  if (balance && draft.strategy !== null) report.take(balance, 'services.<id>.strategy');
  // An inherited algorithm without an equivalent goes into the backend.
  else if (balance && !statements.includes(balance))
    draft.extra.push({ text: balance.text, statement: balance });
  draft.settings.health = healthSettings(
    draft.servers,
    health,
    toDuration(effective(proxy, 'timeout check')?.words[2]),
  );
  const slowStart = draft.servers.find((server) => server.slowStart !== null)?.slowStart;
  if (slowStart) draft.settings.slowStart = slowStart;
  readStickiness(context);
  for (const statement of statements) if (!report.has(statement)) readOther(statement, context);
}

const STRATEGIES = wordTable<string>({
  roundrobin: 'round_robin',
  'static-rr': 'round_robin',
  leastconn: 'least_connections',
  source: 'consistent_hash',
  random: 'random',
});

/** HAProxy's check settings are per server, those of acgs-lb per service: the first server's count. */
function healthSettings(
  servers: readonly ServerDraft[],
  http: HealthDraft,
  timeout: string | null,
): Record<string, unknown> {
  const [first] = servers;
  const { interval = '2s', fastInterval = null, rise = 2, fall = 3 } = first?.health ?? {};
  const tls = servers.find((server) => server.tls !== null)?.tls;
  return {
    ...(http.http && first?.checked ? httpSettings(http) : { type: 'tcp' }),
    interval,
    ...fastIntervalOf(interval, fastInterval),
    ...(timeout === null ? {} : { timeout }),
    rise,
    fall,
    ...(tls ? { tls } : {}),
  };
}

/** acgs-lb's default is 1 s, and at most `interval`. */
function fastIntervalOf(interval: string, fastInterval: string | null): { fastInterval?: string } {
  const limit = parseDuration(interval) ?? 0;
  const wanted = parseDuration(fastInterval ?? '1s') ?? 0;
  if (fastInterval === null && wanted <= limit) return {};
  return { fastInterval: durationText(Math.min(wanted, limit)) };
}

const httpSettings = ({ method, path, headers, status, body }: HealthDraft): Record<string, unknown> => ({
  method,
  path,
  ...(Object.keys(headers).length > 0 && { headers }),
  expect: {
    status: status ?? (body === null ? ['200-399'] : ['100-599']),
    ...(body === null ? {} : { body }),
  },
});

function readStickiness({ draft, report, statements }: SettingsContext): void {
  const cookie = lastOf(statements, 'cookie');
  const sticks = statements.filter(({ words: [first] }) => first === 'stick-table' || first === 'stick');
  const place = `haproxy.extra.services.${draft.name}`;
  if (cookie && !cookie.usesEnvironment) {
    const isDynamic = cookie.words.includes('dynamic');
    draft.settings.affinity = { by: 'none' };
    draft.extra.push({ text: `${cookie.text}${isDynamic ? '' : ' dynamic'}`, statement: cookie });
    if (!isDynamic) draft.extra.push({ text: 'dynamic-cookie-key acgs-lb', statement: cookie });
    report.keep(cookie, `${place}, with values that HAProxy derives; each client gets a new cookie once`);
  } else if (cookie) {
    draft.settings.affinity = { by: 'ip' };
    report.refuse(
      cookie,
      'acgs-lb cannot read an environment variable; affinity.by: ip keeps the session by client address instead',
    );
  }
  if (sticks.length === 0) return;
  const bySource = sticks.some(({ words }) => words.join(' ') === 'stick on src');
  if (
    bySource &&
    sticks.every(({ words }) => words[0] === 'stick-table' || words.join(' ') === 'stick on src')
  ) {
    draft.settings.affinity ??= { by: 'ip' };
    for (const statement of sticks)
      report.take(statement, 'services.<id>.affinity by ip, for 30 s without a request');
    return;
  }
  draft.settings.affinity = { by: 'none' };
  for (const statement of sticks) {
    draft.extra.push({ text: statement.text, statement });
    report.keep(statement, place);
  }
}

/** What acgs-lb does by itself. */
export const COVERED = wordTable<string>({
  mode: 'acgs-lb serves HTTP',
  log: "acgs-lb's own log settings",
  'timeout server': 'services.<id>.timeout',
  'timeout check': 'services.<id>.health.timeout',
  'option httplog': "acgs-lb's own log settings",
  'option tcplog': "acgs-lb's own log settings",
  'option dontlognull': 'acgs-lb sets it',
  'option log-health-checks': 'acgs-lb logs each change of health',
  'option redispatch': 'acgs-lb sets option redispatch 1',
  'option persist': 'acgs-lb redispatches when a server is down',
  retries: 'acgs-lb sets 2; the edge retries within its own budget',
  'retry-on': 'acgs-lb retries what is safe to retry',
  'load-server-state-from-file': 'acgs-lb keeps the server states',
});

const FORWARDED_PROTO = /^http-request (?:set|add)-header x-forwarded-proto https?(?: |$)/i;

/** What the gateway does in place of a statement about the client's address or scheme; otherwise null. */
export function forwardedReason(statement: Statement): string | null {
  const { words } = statement;
  if (keywordOf(statement) === 'option forwardfor' && !words.includes('header'))
    return 'the gateway sets X-Forwarded-For';
  return FORWARDED_PROTO.test(words.join(' ')) ? 'the gateway sets X-Forwarded-Proto' : null;
}

function readOther(statement: Statement, { draft, report, onlyGateway }: SettingsContext): void {
  const keyword = keywordOf(statement);
  const obsolete = obsoleteReason(statement);
  const covered = (onlyGateway ? forwardedReason(statement) : null) ?? COVERED[keyword];
  if (obsolete !== null) report.refuse(statement, obsolete);
  else if (covered !== undefined && statement.words[0] !== 'no') report.take(statement, covered);
  // Both backends of a service have the lines of its snippet.
  else if (keyword === 'id') report.refuse(statement, 'HAProxy numbers the backends itself');
  else if (keyword === 'hash-type' && draft.strategy !== null)
    report.take(statement, 'acgs-lb hashes consistently');
  else {
    draft.extra.push({ text: statement.text, statement });
    report.keep(statement, `haproxy.extra.services.${draft.name}`);
  }
}
