import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Eta } from 'eta';
import type { Config } from '../../../shared/config/config.ts';
import { shippedErrorPages, shippedTemplate } from './assets.ts';
import { backendLines } from './backend.ts';
import {
  configInstances,
  edgeKeyPems,
  haproxyPaths,
  type RenderedFile,
  type RenderInput,
  type RenderInstance,
} from './input.ts';
import { connectAddress, formatDuration, quoteArgument, serverAddress } from './quoting.ts';
import { routeMaps } from './routes.ts';

const eta = new Eta({ autoEscape: false, autoTrim: false });

/** A line that holds nothing but a statement leaves no line behind. */
const withoutStatementLines = (template: string): string =>
  template.replace(/^[ \t]*(<%(?![=~])[^\n]*?%>)[ \t]*\n/gm, '$1');

/**
 * All files HAProxy needs, the configuration first. The same input gives the same bytes. Throws when the input makes
 * no sense as a whole: edge tokens required without a key to verify them. `fingerprint`, where it is known, saves half
 * the work.
 */
export function renderHaproxyConfig(input: RenderInput, fingerprint = fingerprintOf(input)): RenderedFile[] {
  return renderFiles(input, fingerprint);
}

/**
 * What a running HAProxy was made from, but for servers that come and go at run time: it stands in the configuration
 * as its description, and a HAProxy that shows another one needs a reload.
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
      'haproxy.requireEdge is on, but EDGE_JWT_PUBLIC_KEYS is empty: every request would be refused',
    );
  }
  const pages = shippedErrorPages();
  const maps = routeMaps(config);
  const template = withoutStatementLines(input.template ?? shippedTemplate());
  const view = { ...settings(input), ...tables(config), hosts: maps.anyHost };
  const content = eta.renderString(template, {
    ...view,
    fingerprint: quoteArgument(fingerprint),
    errorPages: pages.map(({ status }) => ({
      status,
      path: quoteArgument(join(paths.errors, `${status}.http`)),
    })),
    edge: keys.length > 0 && {
      audience: quoteArgument(config.site.id),
      keys: keys.map(({ kid }) => ({ kid: quoteArgument(kid), path: quoteArgument(paths.edgeKey(kid)) })),
    },
  });
  const readable = 0o644;
  return [
    // The statistics' password is in it: for root and HAProxy's group alone.
    { path: paths.config, content, mode: input.production ? 0o640 : 0o600 },
    { path: paths.routes, content: maps.routes, mode: readable },
    { path: paths.hosts, content: maps.hosts, mode: readable },
    ...pages.map(({ status, content }) => ({
      path: join(paths.errors, `${status}.http`),
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
  return {
    production,
    maxconn: haproxy.maxconn,
    threads: haproxy.threads,
    balance: haproxy.balance,
    socket: quoteArgument(haproxy.socket),
    // In a container standard output is the log: lines as they are, without syslog's head.
    log: `${quoteArgument(haproxy.log)}${haproxy.log === 'stdout' ? ' format raw' : ''} local0 info`,
    requestLog: connectAddress(haproxy.agentCheck).text,
    stateFile: quoteArgument(paths.state),
    routesFile: quoteArgument(paths.routes),
    hostsFile: quoteArgument(paths.hosts),
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
    agent: connectAddress(config.agent.bind).text,
    stats: {
      bind: quoteArgument(haproxy.stats),
      auth: quoteArgument(`${secrets.statsUser}:${secrets.statsPassword}`),
    },
    services: services.map((service) => ({
      id: service.id,
      lines: backendLines(config, service, of(service.id, all), all.length),
    })),
    health: { ids: services.map(({ id }) => id), none: services.length === 0, body: healthBody(services) },
  };
}

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

/** JSON with the servers left per service; past a hundred services only the word, since an answer has to fit a buffer. */
function healthBody(services: readonly { id: string }[]) {
  const counts = services.map(({ id }) => `"${id}":%[nbsrv(${id})]`).join(',');
  return (status: string): string =>
    services.length > 100 ? `{"status":"${status}"}` : `{"status":"${status}","services":{${counts}}}`;
}
