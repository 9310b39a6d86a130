/** Inputs longer than this find little and slow everything down. */
export const MAX_INPUT_LENGTH = 8_192;

/** Bytes and words that parsers of any kind treat specially. */
export const TOKENS: readonly string[] = [
  ...['\0', '\n', '\r\n', '\r', '\t', ' ', ',', ';', ':', '/', '\\', '"', "'", '%', '%00', '%25', '%2e', '#'],
  ...['=', '|', '.', '..', '-', '-1', '0', '1e999', '9007199254740993', '-0', '1e-7', '0x10', '10/8'],
  ...['NaN', 'null', 'true', '{}', '[]', '{', '}', '[', ']', '[[[[[[[[', '""', '__proto__', 'constructor'],
  ...[
    '*a',
    '&a ',
    '<<',
    '? ',
    '- ',
    '!!binary ',
    '\xef\xbb\xbf',
    '\xed\xa0\x80',
    '\xc3\xa9',
    '\xf0\x9f\x98\x80',
  ],
  ...['\x7f', '\x1b[31m', '\xff', '\u00a0', 'a'.repeat(300)],
];

export interface MutationSource {
  /** 0 ≤ x < 1. */
  random(): number;
  /** Inputs to copy from. */
  inputs: readonly string[];
  /** Words of the parser's own code. */
  words: readonly string[];
}

type Mutation = (text: string, source: MutationSource) => string;

const below = (source: MutationSource, limit: number): number => Math.floor(source.random() * limit);
const pick = (source: MutationSource, list: readonly string[]): string =>
  list[below(source, list.length)] ?? '';
const replace = (text: string, start: number, removed: number, insert: string): string =>
  text.slice(0, start) + insert + text.slice(start + removed);

/** A place, mostly short; long ones are needed to remove whole parts. */
function span(text: string, source: MutationSource): { start: number; length: number } {
  const start = below(source, text.length + 1);
  const length = source.random() < 0.7 ? below(source, 5) : below(source, text.length - start + 1);
  return { start, length };
}

const token = (source: MutationSource): string =>
  pick(source, source.words.length > 0 && source.random() < 0.6 ? source.words : TOKENS);

const changeByte: Mutation = (text, source) =>
  replace(text, below(source, text.length), 1, String.fromCharCode(below(source, 256)));

const insertToken: Mutation = (text, source) =>
  replace(text, below(source, text.length + 1), 0, token(source));

const removeSpan: Mutation = (text, source) => {
  const { start, length } = span(text, source);
  return replace(text, start, length, '');
};

const repeatSpan: Mutation = (text, source) => {
  const { start, length } = span(text, source);
  const times = source.random() < 0.9 ? 1 : below(source, 100);
  return replace(text, start, 0, text.slice(start, start + length).repeat(times));
};

const copyFromOther: Mutation = (text, source) => {
  const other = pick(source, source.inputs);
  const from = span(other, source);
  const { start, length } = span(text, source);
  return replace(text, start, length, other.slice(from.start, from.start + from.length));
};

/** Replaces one word or number as a whole. */
const replaceWord: Mutation = (text, source) => {
  const words = [...text.matchAll(/[\w.-]+/g)];
  const word = words[below(source, words.length)];
  return word ? replace(text, word.index, word[0].length, token(source)) : insertToken(text, source);
};

const moveLine: Mutation = (text, source) => {
  const lines = text.split('\n');
  const [line = ''] = lines.splice(below(source, lines.length), 1);
  lines.splice(below(source, lines.length + 1), 0, line);
  return lines.join('\n');
};

const MUTATIONS: readonly Mutation[] = [
  changeByte,
  insertToken,
  insertToken,
  removeSpan,
  repeatSpan,
  copyFromOther,
  replaceWord,
  replaceWord,
  moveLine,
];

/** A changed copy of one of the inputs, as a string of bytes. */
export function mutate(source: MutationSource): string {
  // Late inputs are the newest: they reached code that others did not.
  const newest = source.inputs.length - 1 - below(source, Math.min(20, source.inputs.length));
  let text =
    source.random() < 0.3
      ? (source.inputs[newest] ?? '')
      : source.inputs[below(source, source.inputs.length)];
  text ??= '';
  for (let count = 1 + below(source, 5); count > 0; count--) {
    text = MUTATIONS[below(source, MUTATIONS.length)]?.(text, source) ?? text;
  }
  return text.slice(0, MAX_INPUT_LENGTH);
}

/** A small generator with a seed (mulberry32), so that a run can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A smaller input for which `fails` still holds: removes ever shorter parts, with at most `maxRuns` trials. */
export async function shrink(
  input: string,
  fails: (candidate: string) => Promise<boolean>,
  maxRuns = 600,
): Promise<string> {
  let smallest = input;
  let runs = 0;
  for (let size = Math.ceil(input.length / 2); size >= 1 && runs < maxRuns; size = Math.floor(size / 2)) {
    for (let start = 0; start < smallest.length && runs < maxRuns; runs++) {
      const candidate = replace(smallest, start, size, '');
      if (await fails(candidate)) smallest = candidate;
      else start += size;
    }
  }
  return smallest;
}
