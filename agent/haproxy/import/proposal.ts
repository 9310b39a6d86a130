import { Document } from 'yaml';
import type { Config } from '../../../shared/config/config.ts';
import { ConfigError, parseConfig } from '../../../shared/config/load.ts';
import { besideFile } from './beside-file.ts';
import type { ImportedLine } from './file/report.ts';
import { allStatements, type ParsedFile, parseSections } from './file/sections.ts';
import { type PartsOptions, readParts } from './parts.ts';
import { type ImportMode, planImport } from './plan.ts';
import { reportRest } from './report-rest.ts';
import { servicesData } from './services-data.ts';
import { extraData, snippetsOf } from './snippets.ts';

export interface ImportOptions {
  mode: ImportMode;
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

interface ProposalDraft extends Pick<Proposal, 'ownFile' | 'lines' | 'sourceLine'> {
  data: Record<string, unknown> | null;
  services: string[];
}

function draftProposal(file: ParsedFile, options: ImportOptions & PartsOptions): ProposalDraft {
  const plan = planImport(file, options);
  const { report, services } = plan;
  const parts = readParts(file, plan, options);
  reportRest(file, plan, options.mode);
  for (const statement of allStatements(file)) {
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
          // acgs-lb would protect /admin and give each client an affinity cookie; the imported file decides.
          defaults: { access: [], affinity: { by: 'none' } },
          ...(options.mode === 'whole' ? { headers: { security: false } } : {}),
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

function writeYaml(data: Record<string, unknown>, { fileName }: ImportOptions): string {
  const document = new Document(data);
  document.commentBefore = ` Proposed by \`acgs-lb import\` from ${fileName}. Review it before you use it.`;
  return document.toString({ lineWidth: 0 });
}
