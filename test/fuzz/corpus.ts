import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** `corpus/<target>/` holds inputs that a person chose, and findings. `corpus/<target>.jsonl` holds those that add coverage. */
const CORPUS = join(import.meta.dirname, 'corpus');
/** Not in the repository: what earlier runs on this machine found, from which the next run continues. */
const LOCAL = join(import.meta.dirname, '../../.build/fuzz');

const readLines = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as string)
    : [];

function writeLines(file: string, inputs: readonly string[]): void {
  mkdirSync(dirname(file), { recursive: true });
  // Bytes beyond ASCII as escapes, so that no tool changes them.
  const escaped = inputs.map((input) =>
    JSON.stringify(input).replaceAll(/[\x7f-\xff]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`),
  );
  writeFileSync(file, escaped.map((line) => `${line}\n`).join(''));
}

/** The inputs in the repository. */
export function keptInputs(target: string): string[] {
  const folder = join(CORPUS, target);
  const files = readdirSync(folder)
    .sort()
    .map((file) => readFileSync(join(folder, file), 'latin1'));
  return [...files, ...readLines(join(CORPUS, `${target}.jsonl`))];
}

export const localInputs = (target: string): string[] => readLines(join(LOCAL, `${target}.jsonl`));
export const writeLocalInputs = (target: string, inputs: readonly string[]): void =>
  writeLines(join(LOCAL, `${target}.jsonl`), inputs);
/** Replaces the inputs that add coverage to those that a person chose. */
export const writeKeptInputs = (target: string, inputs: readonly string[]): void =>
  writeLines(join(CORPUS, `${target}.jsonl`), inputs);

/** Keeps an input that failed, so that the test replays it. Returns its path. */
export function writeFinding(target: string, input: string): string {
  const name = `finding-${createHash('sha256').update(input, 'latin1').digest('hex').slice(0, 10)}.txt`;
  const file = join(CORPUS, target, name);
  writeFileSync(file, input, 'latin1');
  return file;
}
