import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wrapAnsi } from 'fast-wrap-ansi';
import { barChart } from './chart.ts';
import {
  type BenchRow,
  type BenchTable,
  baselineRounds,
  goalResult,
  goalText,
  readable,
  spreadText,
} from './table.ts';

/** The last result of one benchmark, with its machine and time. */
export interface BenchResult {
  at: string;
  machine: string;
  node: string;
  seconds: number;
  tables: BenchTable[];
}

export type BenchResults = Record<string, BenchResult>;

/** Title and introduction of a benchmark on the page. */
export interface BenchSection {
  title: string;
  about: string;
}

const ROOT = join(import.meta.dirname, '..');
/** The figures behind docs/performance.md. */
const RESULTS = join(ROOT, 'bench/results.json');

export const readResults = (): BenchResults =>
  existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as BenchResults) : {};

/** Stores one result and writes docs/performance.md with its charts from all stored results. */
export function publish(
  name: string,
  result: BenchResult,
  sections: Readonly<Record<string, BenchSection>>,
): void {
  const results = { ...readResults(), [name]: result };
  const known = Object.fromEntries(Object.entries(results).filter(([one]) => one in sections));
  writeFileSync(RESULTS, `${JSON.stringify(known, null, 1)}\n`);
  mkdirSync(join(ROOT, 'docs/images'), { recursive: true });
  const parts = Object.entries(sections).flatMap(([one, section]) => {
    const found = known[one];
    if (!found) return [];
    const chart = `images/performance-${one}.svg`;
    writeFileSync(join(ROOT, 'docs', chart), barChart(section.title, found.tables));
    return [sectionText(one, section, found, chart)];
  });
  const seconds = Object.values(known).reduce((sum, one) => sum + one.seconds, 0);
  const page = [introduction(Math.ceil(seconds / 60)), goalsText(sections, known), ...parts];
  writeFileSync(join(ROOT, 'docs/performance.md'), page.join('\n'));
}

const introduction = (minutes: number): string => `# Performance

Each section compares variants on one machine, in the same run, in alternating rounds. Compare
ratios: absolute figures depend on the machine. A figure is the median of the rounds. The ratio is
the median of the ratios to the first row, with the lowest and highest in brackets. In the charts a
bar is the ratio, the thin line on it spans all rounds, and the dashed line is the first row.

\`npm run bench -- --page\` measures everything again in about ${minutes} minutes,
\`npm run bench -- NAME --page\` one section. \`bench/results.json\` has every round.
`;

/** One line for each goal, so that a reader sees at once which are missed. */
function goalsText(sections: Readonly<Record<string, BenchSection>>, results: BenchResults): string {
  const lines = Object.entries(sections).flatMap(([name, { title }]) =>
    (results[name]?.tables ?? []).flatMap((table) =>
      table.goals.map((goal) => {
        const { what, limits, measured, isReached } = goalResult(goal, table.rows);
        const link = `[${title}](#${headingId(title)})`;
        const unit = goal.figure === 'value' ? ` ${table.unit}` : '';
        return `| ${link} | ${table.title}: ${what} | ${limits}${unit} | ${measured} | ${isReached ? 'yes' : '**no**'} |`;
      }),
    ),
  );
  return [
    '## Goals',
    '',
    '| section | figure | goal | measured | reached |',
    '|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

/** The id that GitHub gives a heading. */
const headingId = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

function sectionText(
  name: string,
  { title, about }: BenchSection,
  result: BenchResult,
  chart: string,
): string {
  const when = result.at.slice(0, 16).replace('T', ' ');
  return `## ${title}

${wrapAnsi(about.replaceAll('\n', ' '), 100)}

\`npm run bench ${name}\`: ${when} UTC, ${result.machine}, Node ${result.node}, ${Math.round(result.seconds)} s.

![${title}](${chart})

${result.tables.map(tableText).join('\n\n')}
`;
}

function tableText(table: BenchTable): string {
  const { title, unit, rows, goals } = table;
  const base = baselineRounds(table);
  return [
    `**${title}**`,
    '',
    `| | ${unit} | ratio |`,
    '|---|---|---|',
    ...rows.map(
      (row) => `| ${row.what} | ${readable(row.value).toLocaleString('en')} | ${ratioText(row, base)} |`,
    ),
    ...goals.flatMap((goal) => ['', `${capital(goalText(goal, rows))}.`]),
  ].join('\n');
}

function ratioText(row: BenchRow, base: readonly number[]): string {
  const spread = spreadText(row, base);
  return spread ? `${row.ratio.toFixed(2)} (${spread})` : row.ratio.toFixed(2);
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
