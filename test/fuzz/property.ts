import fc from 'fast-check';
import { keptInputs } from './corpus.ts';
import { TOKENS } from './engine/mutate.ts';
import type { FuzzTarget } from './target.ts';

/** Changed inputs per parser. `npm run fuzz` runs for longer, and follows coverage. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 300);
/** A fixed seed makes CI repeatable; `FUZZ_SEED=random` explores. */
const SEED = process.env.FUZZ_SEED === 'random' ? Date.now() : Number(process.env.FUZZ_SEED ?? 14);

interface Mutation {
  at: number;
  remove: number;
  insert: string;
}

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
 * Runs a target on the inputs in the repository, on changed ones and on any text. The error shows the input: keep it as a
 * file of the corpus when the parser is fixed.
 */
export async function fuzz({ name, start }: FuzzTarget): Promise<void> {
  const check = await start();
  const inputs = keptInputs(name);
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
