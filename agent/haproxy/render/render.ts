import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Eta } from 'eta';
import type { Config } from '../../../shared/config/config.ts';
import { extraLines } from '../../../shared/config/extra.ts';
import { ENVELOPE_PATTERN, envelopeIndex, MAX_ENVELOPE_BYTES } from '../../../shared/envelope.ts';
import { HOP_BY_HOP, NEVER_LISTED } from '../../../shared/hop-by-hop.ts';
import { HOST_PATTERN } from '../../../shared/request-url.ts';
import { REQUEST_ID_PATTERN, TRACEPARENT_PATTERN } from '../../../shared/trace-context.ts';
import { UNTRUSTED_NAMES } from '../../../shared/untrusted-fields.ts';
import { longLivedBackend } from '../long-lived.ts';
import { connectAddress, serverAddress } from '../socket/address.ts';
import { PATH_FAULTS } from './access.ts';
import { shippedErrorPages, shippedLua, shippedTemplate } from './assets.ts';
import { backendLines, longLivedBackendLines } from './backend.ts';
import { findExtraLines, markExtraLines } from './extra-lines.ts';
import {
  configInstances,
  edgeKeyPems,
  haproxyPaths,
  type RenderedFile,
  type RenderInput,
  type RenderInstance,
} from './input.ts';
import { OWN_ANSWER_FIELDS, OWN_REQUEST_FIELDS, ordinaryPatterns } from './ordinary.ts';
import { priorityClasses } from './overload.ts';
import { formatDuration, quoteArgument } from './quoting.ts';
import { routeMaps } from './routes.ts';

const ERROR_HEADERS = 'content-type application/problem+json hdr Cache-Control no-store';
/** A malformed or late request leaves the connection in an unknown state. */
const MORE_ERROR_HEADERS: Partial<Record<number, string>> = {
  400: ' hdr Connection close',
  408: ' hdr Connection close',
  503: ' hdr Retry-After 5',
};

/**
 * How many invalid signatures of one address HAProxy verifies in 10 s. A verification (ES256) takes about 60 µs, so this
 * takes less than a thousandth of a core. An edge needs one verification per isolate and minute.
 */
const MAX_REFUSED_TOKENS = 100;

/** More than twice the size of the edge's tokens. `MAX_ENVELOPE_BYTES` includes it. */
const MAX_TOKEN_BYTES = 512;

const eta = new Eta({ autoEscape: false, autoTrim: false });

/** Removes the line break of template lines that contain only a statement. */
const withoutStatementLines = (template: string): string =>
  template.replace(/^[ \t]*(<%(?![=~])[^\n]*?%>)[ \t]*\n/gm, '$1');

/**
 * All files that HAProxy reads, the configuration first. The same input gives the same bytes. Throws when edge tokens
 * are required but there is no key to verify them. Passing a known `fingerprint` halves the work.
 */
export function renderHaproxyConfig(input: RenderInput, fingerprint = fingerprintOf(input)): RenderedFile[] {
  return renderFiles(input, fingerprint);
}

/**
 * A hash of the rendered files without servers registered at run time. HAProxy shows it as its description: a
 * HAProxy with a different description needs a reload.
 */
export function fingerprintOf(input: RenderInput): string {
  const hash = createHash('sha256');
  for (const { content } of renderFiles({ ...input, instances: configInstances(input.config) }, ''))
    hash.update(content);
  return `acgs-lb:${hash.digest('hex').slice(0, 16)}`;
}

function renderFiles(input: RenderInput, fingerprint: string): RenderedFile[] {
  const { config, secrets } = input;
  const paths = haproxyPaths(config);
  const keys = edgeKeyPems(secrets);
  if (config.haproxy.requireEdge && keys.length === 0) {
    throw new Error(
      'haproxy.requireEdge is on, but EDGE_JWT_PUBLIC_KEYS is empty: HAProxy would reject every request',
    );
  }
  const pages = shippedErrorPages();
  const maps = routeMaps(config);
  const template = withoutStatementLines(input.template ?? shippedTemplate());
  const view = { ...settings(input), ...tables(config), hosts: maps.anyHost };
  const content = eta.renderString(template, {
    ...view,
    fingerprint: quoteArgument(fingerprint),
    errorPages: pages.map(({ status }) => {
      const file = quoteArgument(join(paths.errors, `${status}.json`));
      return `http-error status ${status} ${ERROR_HEADERS}${MORE_ERROR_HEADERS[status] ?? ''} lf-file ${file}`;
    }),
    edge: keys.length > 0 && {
      audience: quoteArgument(config.site.id),
      keys: keys.map(({ kid }) => ({ kid: quoteArgument(kid), path: quoteArgument(paths.edgeKey(kid)) })),
      pattern: ENVELOPE_PATTERN,
      at: envelopeIndex,
      maxRefused: MAX_REFUSED_TOKENS,
      maxToken: MAX_TOKEN_BYTES,
    },
  });
  const readable = 0o644;
  const { text, extra } = findExtraLines(content);
  return [
    // It contains the statistics password, so only its owner (and in production HAProxy's group) can read it.
    { path: paths.config, content: text, mode: input.production ? 0o640 : 0o600, extra },
    { path: paths.routes, content: maps.routes, mode: readable },
    { path: paths.hosts, content: maps.hosts, mode: readable },
    { path: paths.services, content: maps.services, mode: readable },
    { path: paths.longLived, content: maps.longLived, mode: readable },
    { path: paths.lua, content: luaScript(), mode: readable },
    ...pages.map(({ status, content }) => ({
      path: join(paths.errors, `${status}.json`),
      content,
      mode: readable,
    })),
    ...keys.map(({ kid, pem }) => ({ path: paths.edgeKey(kid), content: pem, mode: readable })),
  ];
}

function settings({ config, instances, secrets, production = false }: RenderInput) {
  const { haproxy } = config;
  const all = [...instances];
  const paths = haproxyPaths(config);
  const services = Object.values(config.services);
  const classes = priorityClasses(config);
  return {
    production,
    beside: haproxy.mode === 'beside',
    pathFaults: PATH_FAULTS,
    // `accept` would also skip the operator's `tcp-request content` rules.
    mayAccept: !/^\s*tcp-request\s+content\b/m.test(haproxy.extra.frontend ?? ''),
    extra: {
      global: markExtraLines(extraLines(haproxy.extra, 'global')),
      defaults: markExtraLines(extraLines(haproxy.extra, 'defaults')),
      frontend: markExtraLines(extraLines(haproxy.extra, 'frontend')),
      other: markExtraLines(extraLines(haproxy.extra, 'other')),
    },
    maxconn: haproxy.maxconn,
    threads: haproxy.threads,
    socket: quoteArgument(haproxy.socket),
    // On standard output the lines have no syslog header.
    log: `${quoteArgument(haproxy.log)}${haproxy.log === 'stdout' ? ' format raw' : ''} local0 info`,
    requestLog: connectAddress(haproxy.agentCheck).text,
    stateFile: quoteArgument(paths.state),
    routesFile: quoteArgument(paths.routes),
    hostsFile: quoteArgument(paths.hosts),
    servicesFile: quoteArgument(paths.services),
    longLivedFile: quoteArgument(paths.longLived),
    // gRPC has its status in trailers.
    http2Instances: services.some(({ protocol }) => protocol === 'http2'),
    heldPaths: services.some(({ longLived }) => longLived.paths.length > 0),
    // A request that waited longer has timed out in a queue.
    queueTimeoutMs: haproxy.timeouts.queue - 1,
    ...strictness(config, paths.lua),
    trace: traceSettings(config),
    timeouts: Object.fromEntries(
      Object.entries(haproxy.timeouts).map(([name, ms]) => [name, formatDuration(ms)]),
    ),
    resolvers: all.some((instance) => serverAddress(instance.url).named),
    localPeer: haproxy.name,
    peers: haproxy.peers.map(({ name, address }) => ({ name, address: quoteArgument(address) })),
    peersOption: haproxy.peers.length > 0 ? ' peers _site' : '',
    binds: [...haproxy.bind.map(quoteArgument), ...tlsBinds(config)],
    tls: haproxy.tls !== undefined,
    tlsRedirect: haproxy.tls?.redirect ?? false,
    requireEdge: haproxy.requireEdge,
    headers: config.headers,
    agent: connectAddress(config.agent.bind).text,
    stats: {
      bind: quoteArgument(haproxy.stats),
      auth: quoteArgument(`${secrets.statsUser}:${secrets.statsPassword}`),
    },
    backends: services.flatMap((service) => {
      const input = { config, service, instances: of(service.id, all), count: all.length, classes };
      return [
        { id: service.id, lines: backendLines(input) },
        { id: longLivedBackend(service.id), lines: longLivedBackendLines(input) },
      ];
    }),
    health: { ids: services.map(({ id }) => id), none: services.length === 0, body: healthBody(services) },
  };
}

/** What the gateway refuses or removes, from the same lists as the edge. */
function strictness({ haproxy: { maxHeaderBytes }, headers }: Config, luaFile: string) {
  // HAProxy itself writes Transfer-Encoding, by how it sends the body.
  const hopByHop = [...HOP_BY_HOP].filter((name) => name !== 'transfer-encoding');
  return {
    maxHeaderBytes,
    // HAProxy accepts at most 32,767.
    maxFields: Math.min(32_767, Math.floor(maxHeaderBytes / 4)),
    maxEnvelopeBytes: MAX_ENVELOPE_BYTES,
    luaFile: quoteArgument(luaFile),
    hopByHop: `^(${hopByHop.join('|')})$`,
    untrusted: `_|^(${[...hopByHop, ...OWN_REQUEST_FIELDS, ...(headers.forwarded ? [] : ['forwarded']), UNTRUSTED_NAMES].join('|')})$`,
    ownAnswerFields: `^(${OWN_ANSWER_FIELDS.join('|')})$`,
    ordinary: ordinaryPatterns(maxHeaderBytes),
    hostPattern: HOST_PATTERN,
    problem: (status: number, title: string) =>
      JSON.stringify({ type: 'about:blank', title, status, requestId: '%[var(txn.id)]' }),
  };
}

/** HAProxy compares a random number below `outOf` with `sampled`. */
function traceSettings({ telemetry }: Config) {
  const outOf = 1_000_000;
  return {
    requestId: REQUEST_ID_PATTERN,
    traceparent: TRACEPARENT_PATTERN,
    trusted: telemetry.trustClients ? '' : 'edge ',
    // 32 random bits as eight hex digits: `hex` writes 64 bits.
    digits: 'hex,bytes(8,8),lower',
    outOf,
    sampled: Math.round(telemetry.sample * outOf),
  };
}

const luaScript = (): string =>
  eta.renderString(withoutStatementLines(shippedLua()), { kept: [...NEVER_LISTED, 'upgrade', 'connection'] });

const of = (service: string, all: readonly RenderInstance[]): RenderInstance[] =>
  all.filter((instance) => instance.service === service);

function tlsBinds({ haproxy }: Config): string[] {
  const { tls } = haproxy;
  if (!tls) return [];
  const alpn = tls.http2 ? 'h2,http/1.1' : 'http/1.1';
  return tls.bind.map((bind) => `${quoteArgument(bind)} ssl crt ${quoteArgument(tls.crt)} alpn ${alpn}`);
}

function tables({ haproxy }: Config) {
  const rate = haproxy.rateLimit;
  return {
    rateLimit: rate && {
      limit: rate.limit,
      window: formatDuration(rate.windowMs),
      expire: formatDuration(Math.max(30_000, rate.windowMs)),
      retryAfter: Math.ceil(rate.windowMs / 1000),
    },
  };
}

/**
 * JSON with the available servers per service. Above 100 services only the status: a response must fit HAProxy's
 * buffer.
 */
function healthBody(services: readonly { id: string }[]) {
  const counts = services.map(({ id }) => `"${id}":%[nbsrv(${id})]`).join(',');
  return (status: string): string =>
    services.length > 100 ? `{"status":"${status}"}` : `{"status":"${status}","services":{${counts}}}`;
}
