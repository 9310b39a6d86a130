import { isAbsolute } from 'node:path';
import { Document, type Node, Scalar } from 'yaml';
import type { Config } from '../../../shared/config/config.ts';
import { DEFAULT_FILES } from '../../../shared/config/haproxy.ts';
import { ConfigError, parseConfig } from '../../../shared/config/load.ts';
import { besideFile } from './beside-file.ts';
import { type GatewayDraft, readGateway } from './gateway.ts';
import { type ImportPlan, planImport } from './plan.ts';
import { choosePorts } from './ports.ts';
import {
  commonDefaults,
  type ProcessDraft,
  readClientTimeout,
  readDefaults,
  readGlobal,
} from './process-settings.ts';
import type { ImportedLine, ImportReport } from './report.ts';
import { type RouteTable, readRoutes } from './routes.ts';
import { keywordOf, type ParsedFile, parseSections, type Section, type Statement } from './sections.ts';
import { COVERED, type ExtraStatement } from './service.ts';
import { servicesData } from './services-data.ts';
import { type KeptSection, otherLines, type SnippetLine } from './verbatim.ts';

export interface ImportOptions {
  mode: 'whole' | 'beside';
  /** Of the operator's file, for comments. */
  fileName: string;
  /** Lines that HAProxy rejects, with the reason. */
  rejected: ReadonlyMap<number, string>;
}

export interface Proposal {
  /** The text of acgs-lb.yaml, which our own parser accepts; null when no backend can be a service. */
  yaml: string | null;
  config: Config | null;
  /** With mode `beside`: the operator's file without the backends that became services. */
  ownFile: string | null;
  /** What became of each line. */
  lines: ImportedLine[];
  /** The place in the operator's file of a line in `haproxy.extra`. */
  sourceLine(path: readonly string[], index: number): number | null;
}

/** A limit against endless rounds: each round keeps at least one more backend as it is. */
const MAX_ROUNDS = 1_000;

/** Proposes an acgs-lb.yaml for a haproxy.cfg. Any text gives a proposal or a report; an error thrown here is a bug. */
export function proposeConfig(text: string, options: ImportOptions): Proposal {
  const file = parseSections(text);
  const keep = new Map<string, string>();
  let plainBinds = true;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const draft = draftProposal(file, { ...options, keep, plainBinds });
    if (draft.data === null) return { ...draft, yaml: null, config: null };
    const yaml = writeYaml(draft.data, options);
    const parsed = tryParse(yaml);
    if (!(parsed instanceof ConfigError)) return { ...draft, yaml, config: parsed };
    const refused = refusedServices(parsed.problems, draft.services);
    if (refused.size === 0 && !plainBinds) throw parsed;
    // The addresses of the gateway overlap: HAProxy may accept them.
    plainBinds &&= refused.size > 0;
    for (const [name, why] of refused) keep.set(name, why);
  }
  throw new Error('no valid configuration found');
}

function tryParse(yaml: string): Config | ConfigError {
  try {
    return parseConfig(yaml, 'acgs-lb.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

function refusedServices(problems: readonly string[], services: readonly string[]): Map<string, string> {
  const refused = new Map<string, string>();
  // The longest name first: a name may contain a dot.
  const names = services.toSorted((a, b) => b.length - a.length);
  for (const problem of problems) {
    const name = names.find(
      (each) => problem.includes(` services.${each}.`) || problem.includes(` services.${each}:`),
    );
    if (name !== undefined) refused.set(name, problem.replace(/^\S+ /, ''));
  }
  return refused;
}

interface DraftOptions extends ImportOptions {
  keep: ReadonlyMap<string, string>;
  /** False: the gateway's `bind` lines stay as they are. */
  plainBinds: boolean;
}

interface ProposalDraft extends Pick<Proposal, 'ownFile' | 'lines' | 'sourceLine'> {
  data: Record<string, unknown> | null;
  services: string[];
}

function draftProposal(file: ParsedFile, options: DraftOptions): ProposalDraft {
  const plan = planImport(file, options);
  const { report, services } = plan;
  const parts = options.mode === 'whole' ? wholeParts(file, plan, options) : besideParts(file, plan, options);
  reportRest(file, plan, options);
  for (const statement of statementsOf(file)) {
    const why = options.rejected.get(statement.line);
    if (why !== undefined) report.refuse(statement, why);
  }
  const snippets = snippetsOf(parts, plan, options);
  const data =
    services.size === 0
      ? null
      : {
          version: 1,
          site: { id: 'main', gateways: [parts.gatewayUrl] },
          ...(parts.agent === null ? {} : { agent: { bind: parts.agent } }),
          // acgs-lb would protect /admin; the imported file decides about access.
          defaults: { access: [] },
          services: servicesData(services, parts.routes),
          haproxy: { ...parts.haproxy, ...extraData(snippets) },
        };
  return {
    data,
    services: [...services.keys()],
    ownFile: options.mode === 'beside' ? besideFile(file, plan, parts.haproxy) : null,
    lines: report.lines(),
    sourceLine: (path, index) => snippets.get(path.slice(2).join('.'))?.[index]?.line ?? null,
  };
}

interface ProposalParts {
  haproxy: Record<string, unknown>;
  gatewayUrl: string;
  agent: string | null;
  routes: RouteTable | null;
  process: ProcessDraft;
  gateway: GatewayDraft | null;
  other: SnippetLine[];
}

const emptyProcess = (): ProcessDraft => ({ settings: {}, timeouts: {}, global: [], defaults: [] });

function wholeParts(file: ParsedFile, plan: ImportPlan, options: DraftOptions): ProposalParts {
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
    return [{ section, proxy, frontend }];
  });
}

function besideParts(file: ParsedFile, plan: ImportPlan, { fileName }: DraftOptions): ProposalParts {
  const { report } = plan;
  const process = emptyProcess();
  const global = emptyProcess();
  for (const section of file.sections.filter(({ kind }) => kind === 'global')) {
    readGlobal(section, global, report);
    for (const statement of [section.head, ...section.body]) report.keep(statement, 'your own file');
  }
  readCommonDefaults(plan, process);
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

const statementsOf = ({ sections, stray }: ParsedFile): Statement[] => [
  ...stray,
  ...sections.flatMap(({ head, body }) => [head, ...body]),
];

/** Reports the statements that no part of the proposal has reported. */
function reportRest(file: ParsedFile, plan: ImportPlan, { mode }: DraftOptions): void {
  const { report } = plan;
  for (const statement of file.stray)
    report.refuse(statement, statement.problem ?? 'it is before the first section');
  for (const section of file.sections) {
    if (plan.proxyOf.has(section) && section.kind !== 'frontend') reportHead(section, plan, mode);
    for (const statement of [section.head, ...section.body]) {
      if (report.has(statement)) continue;
      if (mode === 'beside') report.keep(statement, 'your own file');
      else reportUnused(statement, section, report);
    }
  }
}

/** A backend or a listen section: its service, or why it stays as it is. */
function reportHead(
  { name, head }: Section,
  { services, kept, report }: ImportPlan,
  mode: ImportOptions['mode'],
): void {
  const why = kept.get(name);
  if (why !== undefined) report.keep(head, `${placeOf(mode)}; ${why}`);
  else if (services.has(name) && !report.has(head)) report.take(head, `services.${name}`);
}

const placeOf = (mode: ImportOptions['mode']): string =>
  mode === 'beside' ? 'your own file' : 'haproxy.extra.other';

/** A `defaults` section that only services use. */
function reportUnused(statement: Statement, section: Section, report: ImportReport): void {
  const keyword = keywordOf(statement);
  const isCovered = statement === section.head || keyword in COVERED || keyword.startsWith('timeout ');
  if (isCovered) report.take(statement, 'the services that use these defaults');
  else report.refuse(statement, 'acgs-lb has one defaults section; set it in haproxy.extra.services');
}

type Snippets = Map<string, SnippetLine[]>;

function snippetsOf(
  { process, gateway, other }: ProposalParts,
  plan: ImportPlan,
  { mode, rejected }: DraftOptions,
): Snippets {
  const toLines = (extra: readonly ExtraStatement[]): SnippetLine[] =>
    extra.flatMap(({ text, statement }) =>
      text.split('\n').map((line, index) => ({ text: line.trim(), line: statement.line + index })),
    );
  const snippets: Snippets = new Map([
    ['global', toLines(process.global)],
    ['defaults', toLines(process.defaults)],
    ['frontend', toLines(gateway?.extra ?? [])],
    ...[...plan.services].map(([name, { extra }]): [string, SnippetLine[]] => [
      `services.${name}`,
      toLines(extra),
    ]),
    ['other', other],
  ]);
  const rename = mode === 'whole' ? gatewayRenamer(plan) : (text: string) => text;
  for (const [name, lines] of snippets) {
    const kept = lines.filter(({ line }) => line === null || !rejected.has(line));
    // A control character can only be in a comment or in a conditional block.
    snippets.set(
      name,
      kept.map(({ text, line }) => ({ text: rename(text.replaceAll(/[^\P{Cc}\t]/gu, '')), line })),
    );
  }
  return snippets;
}

/** Renames the frontend to `_gateway` in arguments such as `src_http_req_rate(www)` and `table www`. */
function gatewayRenamer({ gateway, services, kept }: ImportPlan): (text: string) => string {
  const name = gateway?.proxy.name ?? '';
  if (name === '' || services.has(name) || kept.has(name)) return (text) => text;
  const escaped = name.replaceAll(/[^A-Za-z0-9]/g, '\\$&');
  const reference = new RegExp(`([(,]|\\btable\\s+)${escaped}(?=[),\\s]|$)`, 'g');
  return (text) => text.replaceAll(reference, '$1_gateway');
}

function extraData(snippets: Snippets): Record<string, unknown> {
  const services: Record<string, Node> = {};
  const extra: Record<string, unknown> = {};
  for (const [name, lines] of snippets) {
    if (lines.length === 0) continue;
    const block = new Scalar(`${lines.map(({ text }) => text).join('\n')}\n`);
    block.type = Scalar.BLOCK_LITERAL;
    if (name.startsWith('services.')) services[name.slice('services.'.length)] = block;
    else extra[name] = block;
  }
  const all = { ...extra, ...(Object.keys(services).length > 0 && { services }) };
  return Object.keys(all).length > 0 ? { extra: all } : {};
}

function writeYaml(data: Record<string, unknown>, { fileName }: ImportOptions): string {
  const document = new Document(data);
  document.commentBefore = ` Proposed by \`acgs-lb import\` from ${fileName}. Review it before you use it.`;
  return document.toString({ lineWidth: 0 });
}
