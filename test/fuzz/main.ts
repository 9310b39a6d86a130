import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { keptInputs, localInputs, writeFinding, writeKeptInputs, writeLocalInputs } from './corpus.ts';
import { MAX_INPUT_LENGTH } from './engine/mutate.ts';
import type { FuzzThreadAnswer, FuzzThreadData } from './engine/thread.ts';
import { FUZZ_TARGETS } from './targets/index.ts';

/**
 * `npm run fuzz [-- TARGET… --seconds N --seed N --keep]`: coverage-guided fuzzing of the parsers, one after another.
 * `--keep` writes the inputs that reach new code to `corpus/`, for the test. Findings are always written there.
 */
const DEFAULT_SECONDS = 60;
/** An input that runs this long has hung the parser. */
const HANG_MS = 20_000;
const HEAP_MB = 512;

const { names, seconds, seed, keep } = readArguments();
let failed = 0;
for (const name of names) failed += await fuzzTarget(name);
process.exitCode = failed > 0 ? 1 : 0;

/** The number of findings. */
async function fuzzTarget(target: string): Promise<number> {
  const current = new SharedArrayBuffer(8 + 4 * MAX_INPUT_LENGTH);
  const inputs = [...keptInputs(target), ...localInputs(target)];
  const answer = await runThread({ target, inputs, seconds, seed, current });
  if (typeof answer === 'string') {
    const length = new Uint32Array(current, 0, 1)[0] ?? 0;
    const file = writeFinding(target, Buffer.from(current, 8, length).toString('latin1'));
    process.stdout.write(`${target}: ${answer}\n  input: ${file}\n`);
    return 1;
  }
  writeLocalInputs(target, answer.smallest);
  if (keep) writeKeptInputs(target, answer.smallest);
  const { runs, coveredAtStart, covered, slowest, findings, smallest } = answer;
  process.stdout.write(
    `${target}: ${runs} runs, ${coveredAtStart} → ${covered} bytes of code, ${smallest.length} inputs, slowest ${slowest.ms.toFixed(1)} ms, ${findings.length} findings\n`,
  );
  for (const { input, error } of findings) {
    process.stdout.write(`  ${error.replaceAll('\n', '\n  ')}\n  input: ${writeFinding(target, input)}\n`);
  }
  return findings.length;
}

/** The result, or why the thread ended without one. */
function runThread(data: FuzzThreadData): Promise<FuzzThreadAnswer | string> {
  return new Promise((resolve) => {
    const thread = new Worker(new URL('engine/thread.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    const counter = new Uint32Array(data.current, 4, 1);
    let seen = -1;
    const watchdog = setInterval(() => {
      const isHung = counter[0] === seen;
      seen = counter[0] ?? 0;
      if (isHung) end(`no result within ${HANG_MS / 1_000} s`);
    }, HANG_MS);
    const end = (answer: FuzzThreadAnswer | string): void => {
      clearInterval(watchdog);
      resolve(answer);
      thread.terminate().catch(() => {});
    };
    thread.once('message', end);
    thread.once('error', (error) =>
      end(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  });
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        seconds: { type: 'string', default: String(DEFAULT_SECONDS) },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        keep: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
    const known = FUZZ_TARGETS.map(({ name }) => name);
    const unknown = positionals.filter((name) => !known.includes(name));
    if (unknown.length > 0)
      throw new Error(`unknown target ${unknown.join(' ')}; expected ${known.join(' ')}`);
    return {
      names: positionals.length > 0 ? positionals : known,
      seconds: wholeNumber('--seconds', values.seconds, 86_400),
      seed: wholeNumber('--seed', values.seed, 0xffff_ffff),
      keep: values.keep,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

function wholeNumber(flag: string, text: string, max: number): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= max) return Number(text);
  throw new Error(`${flag} ${text}: expected a whole number from 0 to ${max}`);
}
