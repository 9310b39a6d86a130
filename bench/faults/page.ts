import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MatrixRow } from './run-fault.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = join(ROOT, 'docs/faults.md');
const ROWS = join(ROOT, 'bench/faults/results.json');
const START = '<!-- faults: written by npm run chaos -- --page -->';
const END = '<!-- /faults -->';

/** Replaces the stored results of these faults, drops faults that no longer exist, and returns all in the order of `names`. */
export function mergeRows(rows: readonly MatrixRow[], names: readonly string[]): MatrixRow[] {
  const stored = existsSync(ROWS) ? (JSON.parse(readFileSync(ROWS, 'utf8')) as MatrixRow[]) : [];
  const byName = new Map([...stored, ...rows].map((row) => [row.name, row]));
  const merged = names.flatMap((name) => byName.get(name) ?? []);
  writeFileSync(ROWS, `${JSON.stringify(merged, null, 2)}\n`);
  return merged;
}

/** Writes the table into docs/faults.md, between its two marks. */
export function writeFaultsPage(rows: readonly MatrixRow[], names: readonly string[]): void {
  const missing = names.filter((name) => !rows.some((row) => row.name === name));
  const text = [faultsTable(rows), ...notMeasured(missing)].join('\n\n');
  writeFileSync(PAGE, replaceBetween(readFileSync(PAGE, 'utf8'), START, END, text));
}

const notMeasured = (names: readonly string[]): string[] =>
  names.length === 0
    ? []
    : [['### Not measured yet', '', ...names.map((name) => `- \`${name}\``)].join('\n')];

export function replaceBetween(page: string, start: string, end: string, text: string): string {
  const from = page.indexOf(start);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the page lacks the marks ${start} and ${end}`);
  return `${page.slice(0, from + start.length)}\n\n${text}\n\n${page.slice(to)}`;
}

const HEADER = [
  '| fault | requests | failed | of these repeatable | sessions moved | worst ms | detected after | recovered after | as expected |',
  '|---|---|---|---|---|---|---|---|---|',
];

export function faultsTable(rows: readonly MatrixRow[]): string {
  const parts = [...Map.groupBy(rows, ({ area }) => area)].map(([area, all]) =>
    [`### ${area}`, '', ...HEADER, ...all.map(rowText), ...reasons(all)].join('\n'),
  );
  const broken = rows.filter((row) => row.broken.length > 0);
  const total = rows.reduce((sum, { requests }) => sum + requests, 0);
  const wrong = rows.reduce((sum, row) => sum + row.wrong, 0);
  const repeated = rows.reduce((sum, row) => sum + row.postsRepeated, 0);
  const summary = [
    `${rows.length} faults, ${total} requests: ${wrong} wrong answers, ${repeated} POSTs executed twice,`,
    `${rows.length - broken.length} faults as expected.`,
  ].join('\n');
  return [summary, ...parts].join('\n\n');
}

function rowText(row: MatrixRow): string {
  const cells = [
    `\`${row.name}\`: ${row.title}`,
    row.requests,
    row.failed,
    row.repeatableFailed,
    row.pinsLost,
    row.worstMs.toFixed(0),
    row.detectMs === undefined ? '–' : row.detectMs === null ? 'not reported' : seconds(row.detectMs),
    seconds(row.recoverMs),
    row.broken.length === 0 ? 'yes' : `**no**: ${row.broken.join('; ')}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const seconds = (ms: number): string => (ms === 0 ? 'at once' : `${(ms / 1_000).toFixed(1)} s`);

/** Why requests failed, for the faults of one area. */
function reasons(rows: readonly MatrixRow[]): string[] {
  const failed = rows.filter((row) => row.failed + row.pinsLost > 0 && row.reason);
  if (failed.length === 0) return [];
  const byReason = Map.groupBy(failed, ({ reason }) => reason ?? '');
  return [
    '',
    ...[...byReason].flatMap(([reason, all]) =>
      wrap(`- ${all.map(({ name }) => `\`${name}\``).join(', ')}: ${reason}`),
    ),
  ];
}

const WIDTH = 98;

/** The lines of a list item. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH) {
      lines.push(line);
      line = ` ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one, index) => (index === 0 ? one : ` ${one}`));
}
