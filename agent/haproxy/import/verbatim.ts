import { LEGACY_TIMEOUTS, obsoleteReason, type ProxySection } from './file/proxies.ts';
import type { ImportReport } from './file/report.ts';
import type { ParsedFile, Section, Statement } from './file/sections.ts';

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
export function rawLines(file: ParsedFile, section: Section): SnippetLine[] {
  const known = new Set([section.head, ...section.body].flatMap(linesOf));
  const lines: SnippetLine[] = [];
  const obsolete = new Set(
    section.body.filter((each) => obsoleteReason(each) !== null).map(({ line }) => line),
  );
  for (let line = section.start; line < contentEnd(file, section); line++) {
    if (obsolete.has(line)) continue;
    const text = modernText((file.lines[line - 1] ?? '').trimEnd());
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

/** The timeouts of HAProxy 1.x with their current names. */
const modernText = (text: string): string =>
  text.replace(
    /^(\s*)(contimeout|clitimeout|srvtimeout)\b/,
    (_, indent, name) => `${indent}timeout ${LEGACY_TIMEOUTS[name]}`,
  );

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
    .map(({ text, line }) => ({ text: `    ${text}`, line })),
  { text: `    default_backend ${name}`, line: null },
];

export interface KeptSection {
  section: Section;
  /** Null for a section that is not a proxy. */
  proxy: ProxySection | null;
  /** The client's part of a listen section whose servers became a service; otherwise null. */
  frontend: readonly Statement[] | null;
}

/** The sections that stay as they are, with the `defaults` that each proxy needs. */
export function otherLines(
  file: ParsedFile,
  kept: readonly KeptSection[],
  report: ImportReport,
): SnippetLine[] {
  const lines: SnippetLine[] = [];
  let defaults: Section | null | undefined;
  for (const { section, proxy, frontend } of kept) {
    if (proxy && proxy.defaults !== defaults) {
      defaults = proxy.defaults;
      lines.push(...defaultsLines(file, defaults, report));
    }
    for (const statement of [section.head, ...(frontend ?? section.body)]) keepOrRefuse(statement, report);
    lines.push(...(proxy && frontend ? frontendLines(proxy, frontend) : rawLines(file, section)));
  }
  return lines;
}

function keepOrRefuse(statement: Statement, report: ImportReport): void {
  const obsolete = obsoleteReason(statement);
  if (obsolete === null) report.keep(statement, OTHER);
  else report.refuse(statement, obsolete);
}

/** An empty section ends acgs-lb's own defaults. */
function defaultsLines(file: ParsedFile, defaults: Section | null, report: ImportReport): SnippetLine[] {
  if (!defaults) return [{ text: 'defaults', line: null }];
  for (const each of [defaults.head, ...defaults.body]) if (!report.has(each)) keepOrRefuse(each, report);
  return rawLines(file, defaults);
}

const OTHER = 'haproxy.extra.other';
