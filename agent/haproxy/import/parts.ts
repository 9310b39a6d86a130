import { isAbsolute } from 'node:path';
import { DEFAULT_FILES } from '../../../shared/config/haproxy.ts';
import { keywordOf, type ParsedFile, type Statement } from './file/sections.ts';
import { type GatewayDraft, readGateway } from './gateway/gateway.ts';
import { choosePorts } from './gateway/ports.ts';
import { type RouteTable, readRoutes } from './gateway/routes.ts';
import type { ImportPlan, PlanOptions } from './plan.ts';
import {
  commonDefaults,
  type ProcessDraft,
  readClientTimeout,
  readDefaults,
  readGlobal,
} from './process-settings.ts';
import { type KeptSection, otherLines, type SnippetLine } from './verbatim.ts';

/** What the proposal takes from the operator's file, besides the services. */
export interface ProposalParts {
  haproxy: Record<string, unknown>;
  gatewayUrl: string;
  agent: string | null;
  routes: RouteTable | null;
  process: ProcessDraft;
  gateway: GatewayDraft | null;
  other: SnippetLine[];
}

export interface PartsOptions extends PlanOptions {
  /** Of the operator's file. */
  fileName: string;
  /** False: the gateway's `bind` lines stay as they are. */
  plainBinds: boolean;
}

/** Reads everything but the services. */
export const readParts = (file: ParsedFile, plan: ImportPlan, options: PartsOptions): ProposalParts =>
  options.mode === 'whole' ? wholeParts(file, plan, options) : besideParts(file, plan, options);

const emptyProcess = (): ProcessDraft => ({
  settings: {},
  timeouts: {},
  global: [],
  defaults: [],
  rules: [],
});

function wholeParts(file: ParsedFile, plan: ImportPlan, options: PartsOptions): ProposalParts {
  const { report } = plan;
  const process = emptyProcess();
  for (const section of file.sections.filter(({ kind }) => kind === 'global'))
    readGlobal(section, process, report);
  const routes = gatewayRoutes(plan);
  const gateway = plan.gateway && readGateway(plan.gateway, plan.redirects, { routes, report });
  readCommonDefaults(plan, process);
  if (plan.gateway) {
    readClientTimeout(plan.gateway.statements, process);
    for (const { proxy } of [plan.gateway, ...plan.redirects]) report.take(proxy.section.head, 'the gateway');
  }
  const other = otherLines(file, keptSections(file, plan), report);
  const ports = choosePorts(file, plan.services, gateway?.bind ?? []);
  const bind =
    options.plainBinds && gateway && gateway.bind.length > 0 ? gateway.bind : [`127.0.0.1:${ports.gateway}`];
  const tls = options.plainBinds ? gateway?.tls : null;
  if (gateway && !options.plainBinds) keepBinds(plan, gateway);
  return {
    haproxy: {
      ...process.settings,
      bind,
      ...(tls ? { tls } : {}),
      ...ports.haproxy,
      timeouts: process.timeouts,
    },
    gatewayUrl: `http://127.0.0.1:${bind[0]?.slice(bind[0].lastIndexOf(':') + 1)}`,
    agent: ports.agent,
    routes: routes ?? fallbackRoutes(plan),
    process,
    gateway: gateway && withFallback(gateway, plan, routes),
    other,
  };
}

/** The gateway's addresses as they are in the file. */
function keepBinds({ gateway, redirects, report }: ImportPlan, draft: GatewayDraft): void {
  const parts = gateway ? [gateway, ...redirects] : redirects;
  const isKept = new Set(draft.extra.map(({ statement }) => statement));
  for (const statement of parts.flatMap(({ statements }) => statements)) {
    if (statement.words[0] !== 'bind' || isKept.has(statement)) continue;
    draft.extra.unshift({ text: statement.text, statement });
    report.keep(statement, 'haproxy.extra.frontend');
  }
}

/** A default backend that is not a service becomes a rule before acgs-lb's own routes. */
function withFallback(
  gateway: GatewayDraft,
  { gateway: part, services, report }: ImportPlan,
  routes: RouteTable | null,
): GatewayDraft {
  const fallback = part?.statements.findLast((statement) => keywordOf(statement) === 'default_backend');
  if (routes !== null || !fallback) return gateway;
  const name = fallback.words[1] ?? '';
  const extra = gateway.extra.filter(({ statement }) => keywordOf(statement) !== 'default_backend');
  if (services.has(name)) report.take(fallback, `services.${name}.routes: /`);
  else extra.push({ text: `use_backend ${name}`, statement: fallback });
  return { ...gateway, extra };
}

function gatewayRoutes({ gateway, services }: ImportPlan): RouteTable | null {
  if (!gateway) return null;
  const { proxy, statements } = gateway;
  const { head } = proxy.section;
  // The servers of a listen section are its default backend.
  const own: Statement[] =
    proxy.section.kind === 'listen' ? [{ ...head, words: ['default_backend', proxy.name] }] : [];
  const names = new Set(services.keys());
  const all = readRoutes([...statements, ...own], names);
  return all && { ...all, statements: all.statements.filter((statement) => !own.includes(statement)) };
}

/** The routes of the default backend alone, when the frontend's rules stay as they are. */
function fallbackRoutes({ gateway, services }: ImportPlan): RouteTable | null {
  const name = gateway?.statements.findLast((statement) => keywordOf(statement) === 'default_backend')
    ?.words[1];
  if (name === undefined || !services.has(name)) return null;
  return { byService: new Map([[name, { hosts: [], routes: ['/'] }]]), statements: [] };
}

function readCommonDefaults(plan: ImportPlan, process: ProcessDraft): void {
  const used = plan.gateway
    ? [plan.gateway.proxy.defaults]
    : plan.frontends.map(({ proxy }) => proxy.defaults);
  const common = commonDefaults(used);
  if (common) readDefaults(common, process, plan.report);
}

/** The sections that stay as they are. */
function keptSections(file: ParsedFile, plan: ImportPlan): KeptSection[] {
  const merged = new Set([plan.gateway, ...plan.redirects].map((part) => part?.proxy.section));
  const partOf = new Map(plan.frontends.map((part) => [part.proxy.section, part]));
  const proxyOf = plan.proxyOf;
  return file.sections.flatMap((section): KeptSection[] => {
    if (section.kind === 'global' || section.kind === 'defaults' || merged.has(section)) return [];
    const proxy = proxyOf.get(section) ?? null;
    const isService = plan.services.has(section.name) && section.kind !== 'frontend';
    if (isService && section.kind === 'backend') return [];
    const frontend = isService ? (partOf.get(section)?.statements ?? null) : null;
    const viaGateway = section.kind === 'backend' && plan.isOnlyGateway(section.name);
    return [{ section, proxy, frontend, viaGateway }];
  });
}

function besideParts(file: ParsedFile, plan: ImportPlan, { fileName }: PartsOptions): ProposalParts {
  const { report } = plan;
  const process = emptyProcess();
  const global = emptyProcess();
  for (const section of file.sections.filter(({ kind }) => kind === 'global')) {
    readGlobal(section, global, report);
    for (const statement of [section.head, ...section.body]) report.keep(statement, 'your own file');
  }
  readCommonDefaults(plan, process);
  keepRest(plan);
  const routes = gatewayRoutes(plan);
  const ports = choosePorts(file, plan.services, []);
  const { socket } = global.settings;
  return {
    haproxy: {
      mode: 'beside',
      ...(isAbsolute(fileName) && fileName !== DEFAULT_FILES.whole ? { mainFile: fileName } : {}),
      ...(socket === undefined ? {} : { socket }),
      bind: [`127.0.0.1:${ports.gateway}`],
      ...ports.haproxy,
      timeouts: process.timeouts,
    },
    gatewayUrl: `http://127.0.0.1:${ports.gateway}`,
    agent: ports.agent,
    routes: routes ?? fallbackRoutes(plan),
    process,
    gateway: null,
    other: [],
  };
}

/** What acgs-lb does not take from the `defaults` still applies to the operator's own sections. */
function keepRest({ frontends, report }: ImportPlan): void {
  const defaults = new Set(frontends.map(({ proxy }) => proxy.defaults));
  for (const statement of [...defaults].flatMap((section) => section?.body ?? []))
    if (!report.isTaken(statement)) report.keep(statement, 'your own file');
}
