import { modernLine } from './file/modern.ts';
import { type DefaultsSection, obsoleteReason, type ProxySection } from './file/proxies.ts';
import type { ImportReport } from './file/report.ts';
import type { ParsedFile, Section, Statement } from './file/sections.ts';
import { forwardedReason } from './services/service.ts';

/** A line of a snippet. `line` is its line in the operator's file; null for a new line or a comment. */
export interface SnippetLine {
  text: string;
  line: number | null;
}

/** The line after the last statement of a section: comments below it belong to the next section. */
export function contentEnd({ lines }: ParsedFile, { start, end }: Section): number {
  let last = end;
  while (last > start + 1 && /^\s*(?:#.*)?$/.test(lines[last - 2] ?? '')) last -= 1;
  return last;
}

/** A section as it is in the file. */
function rawLines(file: ParsedFile, section: Section, omitted: ReadonlySet<Statement>): SnippetLine[] {
  const known = new Set([section.head, ...section.body].flatMap(linesOf));
  const lines: SnippetLine[] = [];
  const obsolete = new Set(
    section.body.filter((each) => obsoleteReason(each) !== null || omitted.has(each)).map(({ line }) => line),
  );
  for (let line = section.start; line < contentEnd(file, section); line++) {
    if (obsolete.has(line)) continue;
    const text = modernLine((file.lines[line - 1] ?? '').trimEnd());
    lines.push({ text, line: known.has(line) ? line : null });
  }
  if (section.headAddress === null) return lines;
  const head = `${section.kind} ${section.name}`;
  return [
    { text: head, line: section.start },
    { text: `    bind ${section.headAddress}`, line: section.start },
    ...lines.slice(1),
  ];
}

const linesOf = ({ line, lines }: Statement): number[] =>
  Array.from({ length: lines }, (_, index) => line + index);

/** The client's part of a listen section, as a frontend of the same name. */
export const frontendLines = (
  { name, section }: ProxySection,
  statements: readonly Statement[],
): SnippetLine[] => [
  { text: `frontend ${name}`, line: section.head.line },
  ...statements
    .filter((each) => obsoleteReason(each) === null)
    .map(({ text, line }) => ({ text: `    ${modernLine(text)}`, line })),
  { text: `    default_backend ${name}`, line: null },
];

export interface KeptSection {
  section: Section;
  /** Null for a section that is not a proxy. */
  proxy: ProxySection | null;
  /** The client's part of a listen section whose servers became a service; otherwise null. */
  frontend: readonly Statement[] | null;
  /** Only the gateway uses the backend. */
  viaGateway: boolean;
}

/** The sections that stay as they are, with the `defaults` that each proxy needs. */
export function otherLines(
  file: ParsedFile,
  kept: readonly KeptSection[],
  report: ImportReport,
): SnippetLine[] {
  const lines: SnippetLine[] = [];
  const written: WrittenDefaults = { all: new Set(), last: undefined };
  const omitted = setByGateway(kept, report);
  for (const { section, proxy, frontend } of kept) {
    for (const each of proxy ? missingDefaults(proxy, written) : [])
      lines.push(...defaultsLines(file, each, { omitted, report }));
    for (const statement of [section.head, ...(frontend ?? section.body)])
      if (!omitted.has(statement)) keepOrRefuse(statement, report);
    lines.push(...(proxy && frontend ? frontendLines(proxy, frontend) : rawLines(file, section, omitted)));
  }
  return lines;
}

/** Statements that would add what the gateway has already set. */
function setByGateway(kept: readonly KeptSection[], report: ImportReport): Set<Statement> {
  const omitted = new Set<Statement>();
  const needed = new Set<Statement>();
  for (const { section, proxy, viaGateway } of kept) {
    const sends = section.kind === 'frontend' || section.body.some(({ words }) => words[0] === 'server');
    const isHttp = proxy?.mode === 'http' && sends;
    const statements = isHttp ? [...(proxy.defaults?.body ?? []), ...section.body] : [];
    const forwarded = statements.filter((statement) => forwardedReason(statement) !== null);
    for (const statement of forwarded) (viaGateway ? omitted : needed).add(statement);
  }
  for (const statement of needed) omitted.delete(statement);
  for (const statement of omitted) report.take(statement, forwardedReason(statement) ?? '');
  return omitted;
}

function keepOrRefuse(statement: Statement, report: ImportReport): void {
  const obsolete = obsoleteReason(statement);
  if (obsolete === null) report.keep(statement, OTHER);
  else report.refuse(statement, obsolete);
}

interface WrittenDefaults {
  all: Set<DefaultsSection>;
  /** The section that applies to a proxy without `from`; undefined: acgs-lb's own. */
  last: DefaultsSection | null | undefined;
}

/** The `defaults` sections to write before a proxy: its own, and those that this one names after `from`. */
function missingDefaults(
  { section, defaults }: ProxySection,
  written: WrittenDefaults,
): (DefaultsSection | null)[] {
  const isNamed = section.from !== null && defaults !== null;
  if (isNamed ? written.all.has(defaults) : written.last === defaults) return [];
  const missing: (DefaultsSection | null)[] = [defaults];
  for (let parent = defaults?.parent; parent; parent = parent.parent)
    if (!written.all.has(parent)) missing.unshift(parent);
  for (const each of missing) if (each) written.all.add(each);
  written.last = defaults;
  return missing;
}

/** An empty section ends acgs-lb's own defaults. */
function defaultsLines(
  file: ParsedFile,
  defaults: Section | null,
  { omitted, report }: { omitted: ReadonlySet<Statement>; report: ImportReport },
): SnippetLine[] {
  if (!defaults) return [{ text: 'defaults', line: null }];
  for (const each of [defaults.head, ...defaults.body]) if (!report.has(each)) keepOrRefuse(each, report);
  return rawLines(file, defaults, omitted);
}

const OTHER = 'haproxy.extra.other';
