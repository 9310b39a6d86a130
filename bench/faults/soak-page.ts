import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineChart } from './line-chart.ts';
import { replaceBetween } from './page.ts';
import type { ProgramUse, SoakMinute } from './soak.ts';

const DOCS = join(import.meta.dirname, '../../docs');
const START = '<!-- soak: written by npm run chaos -- --soak MINUTES --page -->';
const END = '<!-- /soak -->';
const PROGRAMS = { edge: '#b3541e', agent: '#0a7d4f', haproxy: '#3b5bdb' } as const;
type Program = keyof typeof PROGRAMS;

/** Draws the soak and writes its summary into docs/faults.md. Called after each minute, so that an aborted run counts. */
export function writeSoak(minutes: readonly SoakMinute[]): void {
  mkdirSync(join(DOCS, 'images'), { recursive: true });
  writeFileSync(join(DOCS, 'images/soak-memory.svg'), soakChart(minutes, 'mib'));
  writeFileSync(join(DOCS, 'images/soak-descriptors.svg'), soakChart(minutes, 'descriptors'));
  const page = join(DOCS, 'faults.md');
  writeFileSync(page, replaceBetween(readFileSync(page, 'utf8'), START, END, soakText(minutes)));
}

function soakChart(minutes: readonly SoakMinute[], what: keyof ProgramUse): string {
  const names = Object.keys(PROGRAMS) as Program[];
  return lineChart({
    title: what === 'mib' ? 'Memory during the soak' : 'Open file descriptors during the soak',
    xTitle: 'minute',
    yTitle: what === 'mib' ? 'MiB' : 'descriptors',
    series: names.map((name) => ({
      name,
      color: PROGRAMS[name],
      points: minutes.map((one) => [one.minute + 1, one[name][what]] as const),
    })),
  });
}

function soakText(minutes: readonly SoakMinute[]): string {
  const sum = (of: (one: SoakMinute) => number): number => minutes.reduce((total, one) => total + of(one), 0);
  const flaps = minutes.flatMap((one) => one.flaps.map((flap) => `minute ${one.minute + 1}, ${flap}`));
  const names = Object.keys(PROGRAMS) as Program[];
  return [
    `${minutes.length} minutes, ${sum(({ requests }) => requests)} requests: ${sum(({ wrong }) => wrong)} wrong answers or repeated POSTs,`,
    `${sum(({ failed }) => failed)} failed during a fault, ${sum(({ calmFailed }) => calmFailed)} at other times.`,
    '',
    '| program | MiB, first quarter / last quarter | descriptors, first quarter / last quarter |',
    '|---|---|---|',
    ...names.map(
      (name) => `| ${name} | ${quarters(minutes, name, 'mib')} | ${quarters(minutes, name, 'descriptors')} |`,
    ),
    '',
    flaps.length === 0
      ? 'No instance left service unless a fault struck it.'
      : 'Instances that left service although no fault struck them:',
    ...(flaps.length === 0 ? [] : ['', ...flaps.map((flap) => `- ${flap}`)]),
    '',
    '![Memory during the soak](images/soak-memory.svg)',
    '',
    '![Open file descriptors during the soak](images/soak-descriptors.svg)',
    '',
    '| fault | minutes | failed requests |',
    '|---|---|---|',
    ...faultRows(minutes),
  ].join('\n');
}

/** Medians of the first and the last quarter: a leak makes the second one larger. */
function quarters(minutes: readonly SoakMinute[], name: Program, what: keyof ProgramUse): string {
  const size = Math.max(1, Math.floor(minutes.length / 4));
  const median = (part: readonly SoakMinute[]): string =>
    (part.map((one) => one[name][what]).sort((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0).toFixed(0);
  return `${median(minutes.slice(0, size))} / ${median(minutes.slice(-size))}`;
}

/** The faults of the soak, those with the most failed requests first. */
function faultRows(minutes: readonly SoakMinute[]): string[] {
  const byFault = [...Map.groupBy(minutes, ({ fault }) => fault)].map(([fault, rows]) => ({
    fault,
    minutes: rows.map(({ minute }) => minute + 1).join(', '),
    failed: rows.reduce((total, { failed }) => total + failed, 0),
  }));
  return byFault
    .sort((a, b) => b.failed - a.failed || a.fault.localeCompare(b.fault))
    .map((row) => `| ${row.fault} | ${row.minutes} | ${row.failed} |`);
}
