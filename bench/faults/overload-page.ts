import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChartSeries, lineChart } from './line-chart.ts';
import type { OverloadRow } from './overload.ts';
import type { ClassRow } from './overload-classes.ts';
import { replaceBetween } from './page.ts';

const DOCS = join(import.meta.dirname, '../../docs');
const START = '<!-- overload: written by npm run chaos -- --overload --page -->';
const END = '<!-- /overload -->';

/** Writes the curve, its table and the table of the classes into docs/faults.md. */
export function writeOverload(
  rows: readonly OverloadRow[],
  classes: readonly ClassRow[],
  capacity: number,
): void {
  mkdirSync(join(DOCS, 'images'), { recursive: true });
  writeFileSync(join(DOCS, 'images/overload.svg'), overloadChart(rows));
  const page = join(DOCS, 'faults.md');
  const text = `![Answered requests under overload](images/overload.svg)\n\n${overloadTable(rows, capacity)}\n\n${classTable(classes)}`;
  writeFileSync(page, replaceBetween(readFileSync(page, 'utf8'), START, END, text));
}

function overloadTable(rows: readonly OverloadRow[], capacity: number): string {
  return [
    `The capacity of the overloaded service is ${capacity} requests a second.`,
    'Goodput is the share of the capacity that was answered.',
    '',
    '| offered load | goodput | answered, p50 / p99 ms | 503 and 429, p99 ms | other failures | neighbour failed | taken out | recovered after |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map((row) => {
      const cells = [
        `× ${row.factor}`,
        row.goodput.toFixed(2),
        `${row.p50.toFixed(0)} / ${row.p99.toFixed(0)}`,
        shedText(row.shed, row.shedP99),
        row.otherFailures,
        `${row.neighbourFailed} of ${row.neighbourRequests}`,
        listOrDash(row.takenOut),
        sinceEnd(row.recoverySeconds),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ].join('\n');
}

const sinceEnd = (seconds: number): string => (seconds === 0 ? 'at once' : `${seconds.toFixed(1)} s`);
const shedText = (shed: number, p99: number): string => (shed === 0 ? '0' : `${shed}, ${p99.toFixed(0)}`);
const listOrDash = (all: readonly string[]): string => (all.length === 0 ? '–' : all.join('; '));

function classTable(rows: readonly ClassRow[]): string {
  return [
    '### By class',
    '',
    'Three services with `failover.strategy: load_shed`, each with its own instances, at the same time.',
    'Answered is the share of what is possible: the offered requests, or the capacity if it is less.',
    '',
    '| service (class) | offered load | answered | p99 ms | 503 and 429, p99 ms | other failures | taken out | recovered after |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map((row) => {
      const cells = [
        `${row.service} (${row.class})`,
        `× ${row.factor}`,
        row.answered.toFixed(2),
        row.p99.toFixed(0),
        shedText(row.shed, row.shedP99),
        row.otherFailures,
        listOrDash(row.takenOut),
        sinceEnd(row.recoverySeconds),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ].join('\n');
}

function overloadChart(rows: readonly OverloadRow[]): string {
  const series: ChartSeries[] = [
    {
      name: 'offered load',
      color: '#8a8f98',
      points: rows.map(({ factor }) => [factor, Math.min(factor, 1.5)] as const),
    },
    {
      name: 'goodput',
      color: '#0a7d4f',
      points: rows.map(({ factor, goodput }) => [factor, goodput] as const),
    },
    {
      name: 'goodput of the neighbour',
      color: '#3b5bdb',
      points: rows.map((row) => [row.factor, (1 - row.neighbourFailed / row.neighbourRequests) / 2] as const),
    },
  ];
  return lineChart({
    title: 'Answered requests as a share of the capacity',
    xTitle: 'offered load, in capacities',
    yTitle: 'answered',
    series,
  });
}
