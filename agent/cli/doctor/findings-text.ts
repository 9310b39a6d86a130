import { plural } from '../format.ts';
import { type Terminal, wrapText } from '../terminal.ts';
import type { Finding } from './finding.ts';

const MARKS = { ok: ['✓', 'green'], warn: ['!', 'yellow'], fail: ['✗', 'red'], skip: ['–', 'dim'] } as const;

/** One finding with its advice. `width` is that of the column of names. */
export function findingText(
  { name, state, detail, mend }: Finding,
  width: number,
  terminal: Terminal,
): string {
  const [mark, style] = MARKS[state];
  const indent = width + 4;
  const newLine = `\n${' '.repeat(indent)}`;
  const text = detail
    .split('\n')
    .map((line) => wrapText(line, indent, terminal))
    .join(newLine);
  const advice = mend
    ? `${newLine}${terminal.paint('bold', '→')} ${wrapText(mend, indent + 2, terminal)}`
    : '';
  return `${terminal.paint(style, mark)} ${name.padEnd(width)}  ${state === 'skip' ? terminal.paint('dim', text) : text}${advice}`;
}

/** The findings, one per line with its advice, and a summary. */
export function findingsText(findings: readonly Finding[], terminal: Terminal): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map((finding) => findingText(finding, width, terminal));
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length;
  const [failed, warned] = [count('fail'), count('warn')];
  const summary =
    failed > 0
      ? terminal.paint(
          'red',
          `${plural(failed, 'failure')}${warned > 0 ? `, ${plural(warned, 'warning')}` : ''}`,
        )
      : warned > 0
        ? terminal.paint('yellow', `no failures, ${plural(warned, 'warning')}`)
        : terminal.paint('green', 'no problems found');
  return `${lines.join('\n')}\n\n${summary}`;
}
