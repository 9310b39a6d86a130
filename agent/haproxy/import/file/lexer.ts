/** The words of one line of HAProxy's configuration, as HAProxy itself reads them. */
export interface LineWords {
  words: string[];
  /** A word contains an environment variable, so its value is known only where HAProxy runs. */
  usesEnvironment: boolean;
  /** Why HAProxy rejects the line. */
  problem: string | null;
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  ' ': ' ',
  '\\': '\\',
  '#': '#',
  '"': '"',
  "'": "'",
  $: '$',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** HAProxy's limit is 64. */
const MAX_WORDS = 64;

/**
 * Blanks separate words; `#` starts a comment; a backslash escapes one character or `\xHH`; text in '…' stands for itself;
 * in "…" escapes and environment variables apply. A line cannot continue on the next one.
 */
export function splitWords(line: string): LineWords {
  const state: LexerState = {
    at: 0,
    quote: '',
    word: null,
    words: [],
    usesEnvironment: false,
    problem: null,
  };
  while (state.at < line.length && state.problem === null) {
    if (state.quote === '' && line[state.at] === '#') break;
    readOne(line, state);
  }
  if (state.problem === null && state.quote !== '') state.problem = `unmatched quote ${state.quote}`;
  if (state.word !== null) state.words.push(state.word);
  if (state.words.length > MAX_WORDS) state.problem ??= `more than ${MAX_WORDS} words`;
  return { words: state.words, usesEnvironment: state.usesEnvironment, problem: state.problem };
}

interface LexerState {
  at: number;
  /** The open quote; empty outside quotes. */
  quote: string;
  /** Null between words. */
  word: string | null;
  words: string[];
  usesEnvironment: boolean;
  problem: string | null;
}

function readOne(line: string, state: LexerState): void {
  const char = line[state.at] ?? '';
  if (state.quote === "'") readStrong(char, state);
  else if (char === '\\') readEscape(line, state);
  else if (char === '"' || (char === "'" && state.quote === '')) toggleQuote(char, state);
  else if (state.quote === '' && /\s/.test(char)) endWord(state);
  else {
    // HAProxy replaces variables in double quotes only.
    if (char === '$' && state.quote === '"' && /^\$\{?[A-Za-z_.]/.test(line.slice(state.at, state.at + 3)))
      state.usesEnvironment = true;
    append(state, char, 1);
  }
}

function readStrong(char: string, state: LexerState): void {
  if (char === "'") toggleQuote(char, state);
  else append(state, char, 1);
}

function readEscape(line: string, state: LexerState): void {
  const next = line[state.at + 1] ?? '';
  const simple = SIMPLE_ESCAPES[next];
  if (simple !== undefined) append(state, simple, 2);
  else if (next === 'x') readHex(line.slice(state.at + 2, state.at + 4), state);
  // Any other backslash stands for itself.
  else append(state, '\\', 1);
}

function readHex(digits: string, state: LexerState): void {
  if (/^[0-9a-fA-F]{2}$/.test(digits)) append(state, String.fromCharCode(Number.parseInt(digits, 16)), 4);
  else state.problem = 'a \\x without two hexadecimal digits';
}

function toggleQuote(char: string, state: LexerState): void {
  state.quote = state.quote === '' ? char : '';
  append(state, '', 1);
}

function append(state: LexerState, text: string, length: number): void {
  state.word = (state.word ?? '') + text;
  state.at += length;
}

function endWord(state: LexerState): void {
  if (state.word !== null) state.words.push(state.word);
  state.word = null;
  state.at += 1;
}
