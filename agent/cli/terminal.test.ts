import fc from 'fast-check';
import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import {
  createTerminal,
  formatTable,
  type TableColumn,
  type Terminal,
  truncate,
  wrapText,
} from './terminal.ts';

const plain = (columns: number): Terminal => ({
  write() {},
  error() {},
  progressLine() {},
  interactive: true,
  showsProgress: true,
  rows: 24,
  columns,
  paint: (_, text) => text,
});
const columns: TableColumn<{ id: string; count: string; why: string }>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'N', value: (row) => row.count, align: 'right' },
  { title: 'WHY', value: (row) => row.why, shrinkFactor: 1 },
];

test('a table fits the terminal and only shrinkable columns are cut', () => {
  const row = fc.record({
    id: fc.string({ maxLength: 8, unit: 'grapheme-ascii' }),
    count: fc.nat(9999).map(String),
    why: fc.string({ maxLength: 300, unit: 'grapheme-ascii' }),
  });
  fc.assert(
    fc.property(fc.array(row), fc.integer({ min: 40, max: 200 }), (rows, width) => {
      const lines = formatTable(rows, columns, plain(width)).split('\n');
      expect(lines).toHaveLength(rows.length + 1);
      for (const [index, line] of lines.entries()) {
        expect(stringWidth(line)).toBeLessThanOrEqual(width);
        expect(line).toContain(rows[index - 1]?.id ?? 'ID');
      }
    }),
    { seed: 1 },
  );
});

test('numbers are right-aligned and cut cells end with an ellipsis', () => {
  const text = formatTable([{ id: 'gs-1', count: '7', why: 'x'.repeat(80) }], columns, plain(40));
  expect(text).toBe(`ID    N  WHY\ngs-1  7  ${'x'.repeat(30)}…`);
});

test('colours: only on a terminal, never with NO_COLOR, always with FORCE_COLOR', () => {
  const painted = (isTTY: boolean, env: NodeJS.ProcessEnv) => {
    const stream = Object.assign(Object.create(process.stdout) as NodeJS.WriteStream, { isTTY });
    return createTerminal(stream, stream, env).paint('red', 'x') !== 'x';
  };
  expect(painted(true, {})).toBe(true);
  expect(painted(false, {})).toBe(false);
  expect(painted(true, { NO_COLOR: '1' })).toBe(false);
  expect(painted(false, { FORCE_COLOR: '1' })).toBe(true);
});

test('optional columns are dropped by priority when the table is too wide', () => {
  const wide: TableColumn<string>[] = [
    { title: 'FIRST', value: () => 'a'.repeat(20) },
    { title: 'SECOND', value: () => 'b'.repeat(20), dropPriority: 1 },
    { title: 'THIRD', value: () => 'c'.repeat(20), dropPriority: 2 },
  ];
  const titles = (columns: number) =>
    formatTable([''], wide, plain(columns)).split('\n')[0]?.trim().split(/\s+/);
  expect([64, 63, 42, 41].map(titles)).toEqual([
    ['FIRST', 'SECOND', 'THIRD'],
    ['FIRST', 'SECOND'],
    ['FIRST', 'SECOND'],
    ['FIRST'],
  ]);
});

test('long lines wrap with an indent; without a terminal they do not wrap', () => {
  const text = 'published 4m ago, and some more';
  expect(wrapText(text, 9, plain(30))).toBe(`published 4m ago, and\n         some more`);
  expect(wrapText(text, 9, { ...plain(30), interactive: false })).toBe(text);
});

test('text is cut and padded by its width in terminal columns', () => {
  expect(truncate('用户-1', 4)).toBe('用…');
  const rows = ['用户', 'ada'].map((id) => ({ id, count: '7', why: 'x' }));
  expect(formatTable(rows, columns, plain(40))).toBe('ID    N  WHY\n用户  7  x\nada   7  x');
});

test('control characters in cells are replaced', () => {
  const text = formatTable([{ id: 'a\x1b[2J', count: '1', why: 'b\nc\u202ed' }], columns, plain(40));
  expect(text.split('\n')[1]).toBe('a�[2J  1  b�c�d');
});
