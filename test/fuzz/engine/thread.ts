import { parentPort, workerData } from 'node:worker_threads';
import { FUZZ_TARGETS } from '../targets/index.ts';
import { startCoverage } from './coverage.ts';
import { type FuzzResult, fuzzLoop } from './loop.ts';

/** Fuzzes one target in a thread of its own, so that an input that never ends or fills the memory is found. */
export interface FuzzThreadData {
  target: string;
  inputs: string[];
  seconds: number;
  seed: number;
  /** The input that runs now, as Latin-1: its length in the first four bytes. */
  current: SharedArrayBuffer;
}

export interface FuzzThreadAnswer extends FuzzResult {
  /** Of `inputs`, the shortest that together reach as much code. */
  smallest: string[];
}

const { target: name, inputs, seconds, seed, current } = workerData as FuzzThreadData;
const target = FUZZ_TARGETS.find((one) => one.name === name);
if (!target) throw new Error(`no target ${name}`);
const check = await target.start();
const length = new Uint32Array(current, 0, 2);
const bytes = Buffer.from(current, 8);
const onRun = (input: string): void => {
  length[0] = bytes.write(input, 'latin1');
  length[1] = (length[1] ?? 0) + 1;
};
const coverage = startCoverage();
const now = (): number => performance.now();
const loop = { check, coverage, seed, now, onRun };
const result = await fuzzLoop({ ...loop, inputs, until: now() + seconds * 1_000 });
// The same loop without time to change anything keeps only the inputs that reach new code, in this order.
coverage.reset();
const byLength = result.inputs.toSorted((a, b) => a.length - b.length);
const smallest = (await fuzzLoop({ ...loop, inputs: byLength, until: 0 })).inputs;
coverage.stop();
parentPort?.postMessage({ ...result, smallest } satisfies FuzzThreadAnswer);
