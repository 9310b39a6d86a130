import { isFrontendStatement, isPlainListen, lastOf, type ProxySection, proxiesOf } from './file/proxies.ts';
import { ImportReport } from './file/report.ts';
import { keywordOf, type ParsedFile, type Section, type Statement } from './file/sections.ts';
import { hasPlainBinds, hasPlainTls, isRedirectOnly } from './gateway/gateway.ts';
import { readService, type ServiceDraft } from './services/service.ts';

/** A proxy, or one half of a listen section: the client's part or the servers' part. */
export interface ProxyPart {
  proxy: ProxySection;
  statements: readonly Statement[];
}

/** What each proxy becomes. */
export interface ImportPlan {
  services: Map<string, ServiceDraft>;
  /** Backends that stay as they are, with the reason. */
  kept: Map<string, string>;
  /** Null if no frontend sends requests to a service. */
  gateway: ProxyPart | null;
  /** Frontends whose addresses the gateway takes over: they only redirect to https. */
  redirects: ProxyPart[];
  /** All frontends, those of listen sections included. */
  frontends: ProxyPart[];
  proxyOf: Map<Section, ProxySection>;
  /** No other frontend uses the backend. */
  isOnlyGateway(backend: string): boolean;
  report: ImportReport;
}

/** As `haproxy.mode`. */
export type ImportMode = 'whole' | 'beside';

export interface PlanOptions {
  mode: ImportMode;
  /** Backends that must stay as they are, with the reason. */
  keep: ReadonlyMap<string, string>;
}

export function planImport(file: ParsedFile, { mode, keep }: PlanOptions): ImportPlan {
  const proxies = proxiesOf(file.sections);
  const frontends = proxies.flatMap(frontendPart);
  const backends = proxies.flatMap(backendPart);
  const draftAll = (isOnlyGateway: (name: string) => boolean) => readServices(backends, keep, isOnlyGateway);
  const candidates = draftAll(() => true).services;
  const gateway = chooseGateway(frontends, candidates);
  const redirects =
    gateway && mode === 'whole' && hasPlainTls(gateway.statements) ? mergedRedirects(frontends, gateway) : [];
  const merged = new Set([gateway, ...redirects].map((part) => part?.proxy));
  const elsewhere = new Set(frontends.filter(({ proxy }) => !merged.has(proxy)).flatMap(targetsOf));
  const isOnlyGateway = (name: string): boolean => mode === 'whole' && !elsewhere.has(name);
  return {
    ...draftAll(isOnlyGateway),
    isOnlyGateway,
    gateway,
    redirects,
    frontends,
    proxyOf: new Map(proxies.map((proxy) => [proxy.section, proxy])),
  };
}

function frontendPart(proxy: ProxySection): ProxyPart[] {
  const { section, mode } = proxy;
  if (mode !== 'http') return [];
  if (section.kind === 'frontend')
    return [{ proxy, statements: [...section.body, ...inheritedTarget(proxy)] }];
  return isPlainListen(proxy) ? [{ proxy, statements: section.body.filter(isFrontendStatement) }] : [];
}

/** A `defaults` section can hold the `default_backend`. */
function inheritedTarget({ section, defaults }: ProxySection): Statement[] {
  const inherited = defaults && lastOf(defaults.body, 'default_backend');
  return inherited && !lastOf(section.body, 'default_backend') ? [inherited] : [];
}

function backendPart(proxy: ProxySection): ProxyPart[] {
  const { section, mode } = proxy;
  if (section.kind === 'backend') return [{ proxy, statements: section.body }];
  if (mode !== 'http' || !isPlainListen(proxy)) return [];
  return [{ proxy, statements: section.body.filter((statement) => !isFrontendStatement(statement)) }];
}

function readServices(
  backends: readonly ProxyPart[],
  keep: ReadonlyMap<string, string>,
  isOnlyGateway: (name: string) => boolean,
): Pick<ImportPlan, 'services' | 'kept' | 'report'> {
  const services = new Map<string, ServiceDraft>();
  const kept = new Map<string, string>();
  const report = new ImportReport();
  for (const { proxy, statements } of backends) {
    const { name } = proxy;
    const why =
      keep.get(name) ?? (services.has(name) || kept.has(name) ? 'the name occurs twice' : undefined);
    const read = why ?? readService(proxy, { statements, onlyGateway: isOnlyGateway(name) });
    if (typeof read === 'string') {
      kept.set(name, read);
      services.delete(name);
    } else {
      services.set(name, read.draft);
      report.merge(read.report);
    }
  }
  return { services, kept, report };
}

/** The backends that a frontend names. */
export function targetsOf({ proxy, statements }: ProxyPart): string[] {
  const named = statements
    .filter((statement) => ['use_backend', 'default_backend'].includes(keywordOf(statement)))
    .map(({ words }) => words[1] ?? '');
  return proxy.section.kind === 'listen' ? [proxy.name] : named;
}

/** The frontend that names the most services; the first one if several name as many. */
function chooseGateway(
  frontends: readonly ProxyPart[],
  services: ReadonlyMap<string, ServiceDraft>,
): ProxyPart | null {
  let best: ProxyPart | null = null;
  let most = 0;
  for (const part of frontends) {
    const count = new Set(targetsOf(part).filter((name) => services.has(name))).size;
    if (count <= most) continue;
    best = part;
    most = count;
  }
  return best;
}

const mergedRedirects = (frontends: readonly ProxyPart[], gateway: ProxyPart): ProxyPart[] =>
  frontends.filter(
    (part) =>
      part !== gateway &&
      part.proxy.section.kind === 'frontend' &&
      isRedirectOnly(part.statements) &&
      hasPlainBinds(part.statements),
  );
