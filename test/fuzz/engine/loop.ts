import type { FuzzCheck } from '../target.ts';
import type { CoverageCounter } from './coverage.ts';
import { type MutationSource, mutate, seededRandom, shrink } from './mutate.ts';

export interface FuzzLoopOptions {
  check: FuzzCheck;
  coverage: CoverageCounter;
  /** To start from; those of the repository first. */
  inputs: readonly string[];
  seed: number;
  /** Epoch milliseconds. */
  until: number;
  now(): number;
  /** Called before every run, so that a watchdog knows an input that never ends. */
  onRun(input: string): void;
}

export interface FuzzFinding {
  input: string;
  error: string;
}

export interface FuzzResult {
  runs: number;
  /** Source bytes that ran with the first inputs, and with all. */
  coveredAtStart: number;
  covered: number;
  /** The inputs that reached code which those before them did not. */
  inputs: string[];
  findings: FuzzFinding[];
  slowest: { input: string; ms: number };
}

/** Reading V8's counters takes about 1 ms, so they are read once for this many inputs. */
const BATCH = 64;
/** A broken parser fails in many ways. The first ones are enough to work on. */
const MAX_FINDINGS = 5;

/** Coverage-guided fuzzing of one parser: an input that runs new code is kept and changed further. */
export async function fuzzLoop(options: FuzzLoopOptions): Promise<FuzzResult> {
  const { coverage, now } = options;
  const findings = new Map<string, FuzzFinding>();
  const slowest = { input: '', ms: 0 };
  let runs = 0;

  async function failure(input: string): Promise<Error | null> {
    runs++;
    options.onRun(input);
    const started = now();
    try {
      await options.check(input);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    const ms = now() - started;
    if (ms > slowest.ms) Object.assign(slowest, { input, ms });
    return null;
  }

  async function run(input: string): Promise<void> {
    const error = await failure(input);
    if (!error) return;
    const place = placeOf(error);
    if (findings.has(place)) return;
    findings.set(place, { input, error: place });
    const smallest = await shrink(input, async (candidate) => {
      const found = await failure(candidate);
      return found !== null && placeOf(found) === place;
    });
    findings.set(place, { input: smallest, error: `${place}\n${error.stack ?? error.message}` });
  }

  const kept: string[] = [];
  for (const input of options.inputs) {
    await run(input);
    if (coverage.takeNew() > 0) kept.push(input);
  }
  const coveredAtStart = coverage.covered();
  const source: MutationSource = {
    random: seededRandom(options.seed),
    inputs: kept,
    words: coverage.words(),
  };
  while (now() < options.until && findings.size < MAX_FINDINGS) {
    const batch = Array.from({ length: BATCH }, () => mutate(source));
    kept.push(...(await newInputs(batch, run, coverage)));
  }
  return {
    runs,
    coveredAtStart,
    covered: coverage.covered(),
    inputs: kept,
    findings: [...findings.values()],
    slowest,
  };
}

/** The inputs of a batch that ran code for the first time. */
async function newInputs(
  batch: readonly string[],
  run: (input: string) => Promise<void>,
  coverage: CoverageCounter,
): Promise<string[]> {
  for (const input of batch) await run(input);
  if (!coverage.hasNew()) return [];
  const found: string[] = [];
  for (const input of batch) {
    await run(input);
    if (coverage.takeNew() > 0) found.push(input);
  }
  return found;
}

/** Where and how a check failed, without the values: two inputs with the same place are one finding. */
function placeOf(error: Error): string {
  const frame = (error.stack ?? '')
    .split('\n')
    .find((line) => /\bat .*\/(?:shared|worker|agent|test\/fuzz\/targets|node_modules)\//.test(line));
  return `${error.name} ${frame?.trim().replace(/file:.*?\/(?=shared|worker|agent|test|node_modules)/, '') ?? ''}`;
}
