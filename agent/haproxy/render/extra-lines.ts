import type { ExtraLine } from '../../../shared/config/extra.ts';
import type { ExtraPlace } from './input.ts';

/** Ends a line of `haproxy.extra` while the template is rendered. The schema refuses this character in the file. */
const MARK = '\u0001';

/** The lines for the template, each with a mark that holds its place. */
export const markExtraLines = (lines: readonly ExtraLine[]): string[] =>
  lines.map(
    ({ path, index, text }) =>
      `${path.at(-1) === 'other' ? text : text.trimStart()}${MARK}${JSON.stringify({ path, index })}`,
  );

/** Removes the marks and returns the places of the marked lines by line number, from 1. */
export function findExtraLines(rendered: string): { text: string; extra: Map<number, ExtraPlace> } {
  const extra = new Map<number, ExtraPlace>();
  const lines = rendered.split('\n').map((line, index) => {
    const mark = line.indexOf(MARK);
    if (mark < 0) return line;
    extra.set(index + 1, JSON.parse(line.slice(mark + 1)) as ExtraPlace);
    return line.slice(0, mark);
  });
  return { text: lines.join('\n'), extra };
}
