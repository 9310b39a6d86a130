import { styleText } from 'node:util';
import stringWidth from 'fast-string-width';
import { wrapAnsi } from 'fast-wrap-ansi';

type TextStyle = Parameters<typeof styleText>[0];

/** Output of a command, and what the output device can show. */
export interface Terminal {
  /** Writes to standard output, with a newline at the end. */
  write(text: string): void;
  /** Writes to standard error, with a newline at the end. */
  error(text: string): void;
  /** Shows one line on standard error and replaces the previous one; '' removes it. Any other output removes it too. */
  progressLine(line: string): void;
  /** Standard output is a terminal. */
  readonly interactive: boolean;
  /** Standard error can show `progressLine`. */
  readonly showsProgress: boolean;
  /** Width in columns; 160 when standard output is not a terminal. */
  readonly columns: number;
  /** Height in lines; infinite when standard output is not a terminal. */
  readonly rows: number;
  paint(style: TextStyle, text: string): string;
}

/** The part of a standard stream that a terminal uses. */
export type TerminalStream = Pick<NodeJS.WriteStream, 'columns' | 'rows'> & {
  isTTY?: boolean;
  write(text: string): boolean;
};

const DEFAULT_COLUMNS = 80;
const MIN_COLUMNS = 40;
const DEFAULT_ROWS = 24;
const COLUMNS_WITHOUT_TERMINAL = 160;

/** Colours appear only on a terminal. NO_COLOR (no-color.org) turns them off, FORCE_COLOR turns them on. */
export function createTerminal(
  stdout: TerminalStream = process.stdout,
  stderr: TerminalStream = process.stderr,
  env: NodeJS.ProcessEnv = process.env,
): Terminal {
  const interactive = stdout.isTTY === true;
  const colours = env.NO_COLOR ? false : env.FORCE_COLOR ? env.FORCE_COLOR !== '0' : interactive;
  const showsProgress = stderr.isTTY === true && env.TERM !== 'dumb';
  let shown = false;
  const progressLine = (line: string): void => {
    if (!showsProgress || (line === '' && !shown)) return;
    stderr.write(`\r${line}\x1b[K`);
    shown = line !== '';
  };
  const writeTo = (stream: TerminalStream) => (text: string) => {
    progressLine('');
    stream.write(text.endsWith('\n') ? text : `${text}\n`);
  };
  return {
    write: writeTo(stdout),
    error: writeTo(stderr),
    progressLine,
    interactive,
    showsProgress,
    // Read on each use: the window can be resized. A terminal of unknown size reports 0.
    get columns() {
      return interactive
        ? Math.max(stdout.columns || DEFAULT_COLUMNS, MIN_COLUMNS)
        : COLUMNS_WITHOUT_TERMINAL;
    },
    get rows() {
      return interactive ? stdout.rows || DEFAULT_ROWS : Number.POSITIVE_INFINITY;
    },
    paint: (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text),
  };
}

/**
 * Replaces control characters with �. Apply it to text from outside (a user id, an instance's reason): control
 * characters could move the cursor, overwrite other output or break a table.
 */
export const replaceControlCharacters = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');

export interface TableColumn<Row> {
  title: string;
  value(row: Row): string;
  align?: 'left' | 'right';
  style?(row: Row): TextStyle;
  /** The column with the largest width × factor is cut first when the table is too wide. 0 (default): never cut. */
  shrinkFactor?: number;
  /** Optional columns are dropped before this column is cut below this width. Default 8. */
  minWidth?: number;
  /** Makes the column optional. When the table is still too wide, the columns with the highest priority go first. */
  dropPriority?: number;
}

const GAP = '  ';
const MIN_COLUMN_WIDTH = 8;

/**
 * Formats a table that fits the terminal. It first drops optional columns until every column fits at its minimum
 * width, then cuts columns that have a `shrinkFactor` and marks each cut with an ellipsis. Control characters in cells
 * are replaced. A table without such columns can be wider than the terminal.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  allColumns: readonly TableColumn<Row>[],
  terminal: Terminal,
): string {
  const sanitized = allColumns.map((column) => ({
    ...column,
    value: (row: Row) => replaceControlCharacters(column.value(row)),
  }));
  const columns = dropColumnsToFit(rows, sanitized, terminal.columns);
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const widths = columns.map((column, index) =>
    Math.max(stringWidth(column.title), ...cells.map((line) => stringWidth(line[index] ?? ''))),
  );
  shrinkColumns(widths, columns, terminal.columns - GAP.length * (columns.length - 1));
  const formatLine = (texts: readonly string[], styleOf: (index: number) => TextStyle | undefined): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        const cut = truncate(text, width);
        const padding = ' '.repeat(Math.max(0, width - stringWidth(cut)));
        const style = styleOf(index);
        const painted = style ? terminal.paint(style, cut) : cut;
        if (columns[index]?.align === 'right') return padding + painted;
        return index === columns.length - 1 ? painted : painted + padding;
      })
      .join(GAP);
  const head = formatLine(
    columns.map((column) => column.title),
    () => 'dim',
  );
  const body = rows.map((row, position) =>
    formatLine(cells[position] ?? [], (index) => columns[index]?.style?.(row)),
  );
  return [head, ...body].join('\n');
}

function dropColumnsToFit<Row>(
  rows: readonly Row[],
  columns: readonly TableColumn<Row>[],
  available: number,
): TableColumn<Row>[] {
  const requiredWidth = ({
    title,
    value,
    shrinkFactor,
    minWidth = MIN_COLUMN_WIDTH,
  }: TableColumn<Row>): number => {
    const width = Math.max(stringWidth(title), ...rows.map((row) => stringWidth(value(row))));
    return shrinkFactor ? Math.min(width, minWidth) : width;
  };
  let kept = columns.map((column) => ({ column, width: requiredWidth(column) }));
  const tooWide = () => kept.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length) > available;
  while (tooWide()) {
    const highest = Math.max(...kept.map(({ column }) => column.dropPriority ?? 0));
    if (highest === 0) break;
    kept = kept.filter(({ column }) => column.dropPriority !== highest);
  }
  return kept.map(({ column }) => column);
}

function shrinkColumns<Row>(widths: number[], columns: readonly TableColumn<Row>[], available: number): void {
  const weightOf = (index: number): number =>
    (widths[index] ?? 0) > MIN_COLUMN_WIDTH ? (widths[index] ?? 0) * (columns[index]?.shrinkFactor ?? 0) : 0;
  let excess = widths.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = widths.reduce((best, _, index) => (weightOf(index) > weightOf(best) ? index : best), 0);
    if (weightOf(widest) === 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
}

/** Wraps at spaces and indents every line but the first. Without a terminal the text stays on one line. */
export function wrapText(
  text: string,
  indent: number,
  { columns, interactive }: Pick<Terminal, 'columns' | 'interactive'>,
): string {
  if (!interactive) return text;
  return wrapAnsi(text, columns - indent).replaceAll('\n', `\n${' '.repeat(indent)}`);
}

/** Cuts plain text to a width in columns and marks the cut with an ellipsis. */
export function truncate(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let available = width - 1;
  let kept = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    available -= stringWidth(segment);
    if (available < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}
