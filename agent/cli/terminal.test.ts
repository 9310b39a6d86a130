import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Column, createTerminal, type Terminal, table, widthOf } from './terminal.ts';

const plain = (columns: number): Terminal => ({
  write() {},
  error() {},
  transient() {},
  interactive: true,
  watched: true,
  columns,
  paint: (_, text) => text,
});
const columns: Column<{ id: string; count: string; why: string }>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'N', value: (row) => row.count, align: 'right' },
  { title: 'WHY', value: (row) => row.why, shrink: 1 },
];

test('a table never grows wider than the terminal, and only what may shrink is cut', () => {
  const row = fc.record({
    id: fc.string({ maxLength: 8, unit: 'grapheme-ascii' }),
    count: fc.nat(9999).map(String),
    why: fc.string({ maxLength: 300, unit: 'grapheme-ascii' }),
  });
  fc.assert(
    fc.property(fc.array(row), fc.integer({ min: 40, max: 200 }), (rows, width) => {
      const lines = table(rows, columns, plain(width)).split('\n');
      expect(lines).toHaveLength(rows.length + 1);
      for (const [index, line] of lines.entries()) {
        expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(line).toContain(rows[index - 1]?.id ?? 'ID');
      }
    }),
  );
});

test('numbers stand right, what was cut says so', () => {
  const text = table([{ id: 'gs-1', count: '7', why: 'x'.repeat(80) }], columns, plain(40));
  expect(text).toBe(`ID    N  WHY\ngs-1  7  ${'x'.repeat(30)}…`);
});

test('colours: on a terminal only, never with NO_COLOR, always with FORCE_COLOR', () => {
  const painted = (isTTY: boolean, env: NodeJS.ProcessEnv) => {
    const stream = Object.assign(Object.create(process.stdout) as NodeJS.WriteStream, { isTTY });
    return createTerminal(stream, stream, env).paint('red', 'x') !== 'x';
  };
  expect(painted(true, {})).toBe(true);
  expect(painted(false, {})).toBe(false);
  expect(painted(true, { NO_COLOR: '1' })).toBe(false);
  expect(painted(false, { FORCE_COLOR: '1' })).toBe(true);
});
