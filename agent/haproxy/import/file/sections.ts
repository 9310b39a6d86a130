import { SECTION_KEYWORDS } from '../../../../shared/config/extra.ts';
import { splitWords } from './lexer.ts';
import { modernLine } from './modern.ts';

/** A line, or a block from `.if` to `.endif`, which stays together. */
export interface Statement {
  /** From 1. */
  line: number;
  /** Number of lines. */
  lines: number;
  /** As it is in the file, without indentation. */
  text: string;
  /** As current HAProxy understands the line. Empty for a conditional block and for a line that HAProxy rejects. */
  words: string[];
  usesEnvironment: boolean;
  problem: string | null;
}

export interface Section {
  kind: string;
  name: string;
  /** The named `defaults` section after the keyword `from`. */
  from: string | null;
  head: Statement;
  body: Statement[];
  /** The lines of the section as they are in the file, comments included; `end` is the line after the last one. */
  start: number;
  end: number;
  /** `listen web 10.0.0.1:80`: before HAProxy 1.9 the first line could hold the address. */
  headAddress: string | null;
}

export interface ParsedFile {
  lines: string[];
  /** In the order of the file. A conditional block with whole sections is a section of kind `.if`. */
  sections: Section[];
  /** Statements before the first section: HAProxy rejects them. */
  stray: Statement[];
}

export function parseSections(text: string): ParsedFile {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const sections: Section[] = [];
  const stray: Statement[] = [];
  for (const statement of statementsOf(lines)) {
    const current = sections.at(-1);
    if (startsSection(statement)) {
      if (current) current.end = statement.line;
      sections.push(newSection(statement, lines.length + 1));
    } else (current?.body ?? stray).push(statement);
  }
  return { lines, sections, stray };
}

const isConditional = (text: string): boolean => /^\s*\.if\b/.test(text);

function startsSection({ words: [first = ''], text }: Statement): boolean {
  if (first !== '') return SECTION_KEYWORDS.has(first);
  const [firstLine = ''] = isConditional(text) ? linesOfBlock(text) : [];
  return startsWithKeyword(firstLine);
}

const startsWithKeyword = (line: string): boolean => SECTION_KEYWORDS.has(splitWords(line).words[0] ?? '');

/** The lines of a conditional block that HAProxy reads as configuration. */
const linesOfBlock = (text: string): string[] =>
  text.split('\n').filter((line) => !/^\s*(?:[#.]|$)/.test(line));

/** Whether a block continues one section and starts another. Such a block belongs to neither. */
function isMixed(text: string): boolean {
  const [firstLine = '', ...others] = linesOfBlock(text);
  return !startsWithKeyword(firstLine) && others.some(startsWithKeyword);
}

function newSection(head: Statement, end: number): Section {
  const [kind = '.if', name = ''] = head.words;
  const from = head.words.indexOf('from');
  const hasFrom = from > 0;
  const headAddress =
    /^(?:listen|frontend)$/.test(kind) && head.words[2]?.includes(':') ? head.words[2] : null;
  return {
    kind,
    name: hasFrom && from === 1 ? '' : name,
    from: hasFrom ? (head.words[from + 1] ?? null) : null,
    head,
    body:
      headAddress === null ? [] : [{ ...head, words: ['bind', headAddress], text: `bind ${headAddress}` }],
    headAddress,
    start: head.line,
    end,
  };
}

/** HAProxy accepts such a byte as a part of a word; acgs-lb.yaml refuses it. */
const CONTROL = /[^\P{Cc}\t]/u;

/** The statements of the file without comments and empty lines. */
function statementsOf(lines: readonly string[]): Statement[] {
  const statements: Statement[] = [];
  for (let at = 0; at < lines.length; ) {
    const text = lines[at] ?? '';
    const length = isConditional(text) ? blockLength(lines, at) : 1;
    const statement = length > 1 ? blockStatement(lines, at, length) : lineStatement(text, at + 1);
    if (statement.problem !== null) statement.words = [];
    if (statement.words.length > 0 || statement.problem !== null || length > 1) statements.push(statement);
    at += length;
  }
  return statements;
}

function lineStatement(text: string, line: number): Statement {
  const statement = { ...splitWords(modernLine(text)), line, lines: 1, text: text.trim() };
  if (CONTROL.test(statement.text)) statement.problem ??= 'a control character';
  return statement;
}

/** The lines from `.if` to its `.endif`, or to the end of the file. */
function blockLength(lines: readonly string[], start: number): number {
  let depth = 0;
  for (let at = start; at < lines.length; at++) {
    const text = lines[at] ?? '';
    if (isConditional(text)) depth += 1;
    if (/^\s*\.endif\b/.test(text)) depth -= 1;
    if (depth === 0) return at - start + 1;
  }
  return lines.length - start;
}

function blockStatement(lines: readonly string[], start: number, length: number): Statement {
  const block = lines.slice(start, start + length).map((line) => line.trimEnd());
  const text = block.join('\n').trim();
  return {
    line: start + 1,
    lines: length,
    text,
    words: [],
    usesEnvironment: true,
    problem: isMixed(text) ? 'an .if block that continues one section and starts another' : null,
  };
}

/** The first word, with the second one for keywords that have many meanings: `timeout server`, `option httpchk`. */
export function keywordOf({ words }: Statement): string {
  const [first = '', second = '', third = ''] = words;
  if (first === 'no' || first === 'default') return `${second} ${third}`;
  return PREFIXES.has(first) ? `${first} ${second}` : first;
}

const PREFIXES = new Set(['timeout', 'option', 'http-check', 'stats']);

export const allStatements = ({ sections, stray }: ParsedFile): Statement[] => [
  ...stray,
  ...sections.flatMap(({ head, body }) => [head, ...body]),
];
