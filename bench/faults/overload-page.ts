import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChartSeries, lineChart } from './line-chart.ts';
import type { OverloadRow } from './overload.ts';
import { replaceBetween } from './page.ts';

const DOCS = join(import.meta.dirname, '../../docs');
const START = '<!-- overload: written by npm run chaos -- --overload --page -->';
const END = '<!-- /overload -->';

/** Writes the curve and its table into docs/faults.md. */
export function writeOverload(rows: readonly OverloadRow[], capacity: number): void {
  mkdirSync(join(DOCS, 'images'), { recursive: true });
  writeFileSync(join(DOCS, 'images/overload.svg'), overloadChart(rows));
  const page = join(DOCS, 'faults.md');
  const text = `![Answered requests under overload](images/overload.svg)\n\n${overloadTable(rows, capacity)}`;
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
        row.shed === 0 ? '0' : `${row.shed}, ${row.shedP99.toFixed(0)}`,
        row.otherFailures,
        `${row.neighbourFailed} of ${row.neighbourRequests}`,
        row.takenOut.length === 0 ? '–' : row.takenOut.join('; '),
        row.recoverySeconds === 0 ? 'at once' : `${row.recoverySeconds.toFixed(1)} s`,
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
