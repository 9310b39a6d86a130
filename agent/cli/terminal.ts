import { stripVTControlCharacters, styleText } from 'node:util';

type TextStyle = Parameters<typeof styleText>[0];

/** Where a command writes, and what that place can show. */
export interface Terminal {
  write(text: string): void;
  error(text: string): void;
  /** A line on standard error in the place of the one before, until anything else is written; '' takes it away. */
  progressLine(line: string): void;
  /** A person reads what is written. */
  readonly interactive: boolean;
  /** A person sees `transient`. */
  readonly showsProgress: boolean;
  readonly columns: number;
  /** Lines that are seen at once; without a terminal as many as one likes. */
  readonly rows: number;
  paint(style: TextStyle, text: string): string;
}

/** As much of a standard stream as is used. */
export type TerminalStream = Pick<NodeJS.WriteStream, 'columns' | 'rows'> & {
  isTTY?: boolean;
  write(text: string): boolean;
};

/** Colours only on a terminal; NO_COLOR (no-color.org) turns them off, FORCE_COLOR on. */
export function createTerminal(
  stdout: TerminalStream = process.stdout,
  stderr: TerminalStream = process.stderr,
  env: NodeJS.ProcessEnv = process.env,
): Terminal {
  const interactive = stdout.isTTY === true;
  const colours = env.NO_COLOR ? false : env.FORCE_COLOR ? env.FORCE_COLOR !== '0' : interactive;
  const watched = stderr.isTTY === true && env.TERM !== 'dumb';
  let shown = false;
  const transient = (line: string): void => {
    if (!watched || (line === '' && !shown)) return;
    stderr.write(`\r${line}\x1b[K`);
    shown = line !== '';
  };
  const writeTo = (stream: TerminalStream) => (text: string) => {
    transient('');
    stream.write(text.endsWith('\n') ? text : `${text}\n`);
  };
  return {
    write: writeTo(stdout),
    error: writeTo(stderr),
    progressLine: transient,
    interactive,
    showsProgress: watched,
    // Asked each time: a window changes its size. One that nobody has given a size says 0.
    get columns() {
      return interactive ? Math.max(stdout.columns || 80, 40) : 160;
    },
    get rows() {
      return interactive ? stdout.rows || 24 : Number.POSITIVE_INFINITY;
    },
    paint: (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text),
  };
}

// Two columns wide: East Asian scripts, full-width forms, emoji. No column: what is drawn over the character before it.
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const DRAWN_OVER = /[\p{Mn}\p{Me}\p{Cf}]/u;
const PLAIN = /^[\x20-\x7e]*$/;

const columnsOf = (character: string): number =>
  DRAWN_OVER.test(character) ? 0 : WIDE.test(character) ? 2 : 1;

/** Columns a string takes up, colour codes not counted. */
export function displayWidth(text: string): number {
  const bare = stripVTControlCharacters(text);
  if (PLAIN.test(bare)) return bare.length;
  return [...bare].reduce((sum, character) => sum + columnsOf(character), 0);
}

/**
 * Text somebody else chose (a user's id, an instance's reason): its control characters could move the cursor, change what
 * stands elsewhere or break a table, so each is shown as �.
 */
export const replaceControlCharacters = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');

export interface TableColumn<Row> {
  title: string;
  value(row: Row): string;
  align?: 'left' | 'right';
  style?(row: Row): TextStyle;
  /** How gladly this column gives up width when the table is too wide; 0 (the default) never does. */
  shrinkFactor?: number;
  /** Cut no further than this (default 8) as long as there is a column to leave out. */
  minWidth?: number;
  /** Left out when the table is still too wide with everything cut; the highest goes first. */
  dropPriority?: number;
}

const GAP = '  ';
const MIN_COLUMN_WIDTH = 8;

/**
 * A table no wider than the terminal: columns with `shrink` are cut, widest first, an ellipsis marking the cut; where
 * that does not do, columns that are optional are left out. Control characters in cells are made harmless.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  given: readonly TableColumn<Row>[],
  terminal: Terminal,
): string {
  const wanted = given.map((column) => ({
    ...column,
    value: (row: Row) => replaceControlCharacters(column.value(row)),
  }));
  const columns = dropColumnsToFit(rows, wanted, terminal.columns);
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index] ?? ''))),
  );
  shrinkColumns(widths, columns, terminal.columns - GAP.length * (columns.length - 1));
  const last = columns.length - 1;
  const line = (texts: readonly string[], styleOf: (index: number) => TextStyle | undefined): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        const cut = truncate(text, width);
        const pad = ' '.repeat(Math.max(0, width - displayWidth(cut)));
        const style = styleOf(index);
        const shown = style ? terminal.paint(style, cut) : cut;
        if (columns[index]?.align === 'right') return pad + shown;
        return index === last ? shown : shown + pad;
      })
      .join(GAP);
  const head = line(
    columns.map((column) => column.title),
    () => 'dim',
  );
  const body = rows.map((row, position) =>
    line(cells[position] ?? [], (index) => columns[index]?.style?.(row)),
  );
  return [head, ...body].join('\n');
}

function dropColumnsToFit<Row>(
  rows: readonly Row[],
  wanted: readonly TableColumn<Row>[],
  room: number,
): TableColumn<Row>[] {
  const needed = ({
    title,
    value,
    shrinkFactor: shrink,
    minWidth: least = MIN_COLUMN_WIDTH,
  }: TableColumn<Row>): number => {
    const width = Math.max(displayWidth(title), ...rows.map((row) => displayWidth(value(row))));
    return shrink ? Math.min(width, least) : width;
  };
  let kept = wanted.map((column) => ({ column, width: needed(column) }));
  const tooWide = () => kept.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length) > room;
  while (tooWide()) {
    const first = Math.max(...kept.map(({ column }) => column.dropPriority ?? 0));
    if (first === 0) break;
    kept = kept.filter(({ column }) => column.dropPriority !== first);
  }
  return kept.map(({ column }) => column);
}

function shrinkColumns<Row>(widths: number[], columns: readonly TableColumn<Row>[], room: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const width = (widths[index] ?? 0) * (column.shrinkFactor ?? 0);
      if ((widths[index] ?? 0) > MIN_COLUMN_WIDTH && width > 0 && (widest < 0 || width > weight(widest)))
        widest = index;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
  function weight(index: number): number {
    return (widths[index] ?? 0) * (columns[index]?.shrinkFactor ?? 0);
  }
}

/** Words that do not fit go on below, indented; without a terminal nothing is broken. */
export function wrapText(
  text: string,
  indent: number,
  { columns, interactive }: Pick<Terminal, 'columns' | 'interactive'>,
): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    const longer = last === '' ? word : `${last} ${word}`;
    if (interactive && last !== '' && indent + displayWidth(longer) > columns) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}

export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let room = width - 1;
  const kept = [...text].filter((character) => {
    room -= columnsOf(character);
    return room >= 0;
  });
  return `${kept.join('')}…`;
}
