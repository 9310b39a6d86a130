import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';

const CORPUS = join(import.meta.dirname, 'corpus');
/** Inputs per parser. `FUZZ_RUNS=1000000 npx vitest run test/fuzz` runs for hours. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 300);
/** A fixed seed makes CI repeatable; `FUZZ_SEED=random` explores. */
const SEED = process.env.FUZZ_SEED === 'random' ? Date.now() : Number(process.env.FUZZ_SEED ?? 14);

/** Bytes that parsers treat specially. */
const TOKENS = [
  ...[
    '\0',
    '\n',
    '\r\n',
    '\t',
    ' ',
    ',',
    ';',
    ':',
    '/',
    '\\',
    '"',
    "'",
    '%',
    '%00',
    '%25',
    '#',
    '=',
    '|',
    '.',
    '..',
  ],
  ...[
    '-',
    '-1',
    '0',
    '1e999',
    '9007199254740993',
    'NaN',
    'null',
    'true',
    '{}',
    '[]',
    '__proto__',
    'constructor',
  ],
  ...['*a', '&a ', '<<', '? ', '- ', '!!binary ', '\u{feff}', '\u{d800}', 'é', '\u{1f600}'],
];

interface Mutation {
  at: number;
  remove: number;
  insert: string;
}

/** The kept inputs of a parser, one a file. */
export const corpusOf = (name: string): string[] =>
  readdirSync(join(CORPUS, name))
    .sort()
    .map((file) => readFileSync(join(CORPUS, name, file), 'latin1'));

/** Inputs of the corpus with some bytes changed, and any text. Both are strings of bytes (`latin1`). */
function mutated(inputs: readonly string[]): fc.Arbitrary<string> {
  const mutation = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(200)),
    insert: fc.oneof(
      fc.constantFrom(...TOKENS),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom(...inputs),
    ),
  });
  return fc
    .tuple(fc.constantFrom(...inputs), fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([input, mutations]) => mutations.reduce(apply, input).slice(0, 20_000));
}

function apply(text: string, { at, remove, insert }: Mutation): string {
  const start = Math.floor(at * text.length);
  return text.slice(0, start) + insert + text.slice(start + remove);
}

/**
 * Runs `check` on the corpus, on changed inputs of it and on any text. `check` throws when the parser breaks its
 * contract. The error shows the input: keep it as a file of the corpus when the parser is mended.
 */
export async function fuzz(name: string, check: (input: string) => void | Promise<void>): Promise<void> {
  const inputs = corpusOf(name);
  for (const input of inputs) await check(input);
  const anything = fc.oneof(
    { arbitrary: mutated(inputs), weight: 5 },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 400 }), weight: 1 },
  );
  await fc.assert(
    fc.asyncProperty(anything, async (input) => check(input)),
    { numRuns: RUNS, seed: SEED },
  );
}
