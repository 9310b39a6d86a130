import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BENCHES } from './benches.ts';
import { type BenchResult, type BenchResults, publish, readResults } from './page.ts';
import { type BenchTable, printTable } from './table.ts';

const HELP = `npm run bench [NAME …] [-- options]

  --json FILE   write all figures to FILE
  --page        store the figures in bench/results.json and write docs/performance.md and its charts;
                sections that are not measured keep their last figures
  --resume      skip what --page has stored within the last hour
  --rounds N    measure N times, 1 to 99; default 5, the least that --page accepts
  --help        this text

Without a NAME all of them: ${Object.keys(BENCHES).join(', ')}.
`;

/** A benchmark that takes longer has failed. */
const DEADLINE_MS = 420_000;
const FRESH_MS = 3_600_000;

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const results: BenchResults = {};
  const failed: string[] = [];
  for (const name of selected(positionals, values.resume ?? false)) {
    const result = await measure(name);
    if (!result) {
      failed.push(name);
      continue;
    }
    result.tables.forEach(printTable);
    results[name] = result;
    if (values.page) publish(name, result, BENCHES);
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  if (failed.length > 0) {
    process.stderr.write(`\nfailed: ${failed.join(', ')}. To repeat: npm run bench ${failed.join(' ')}\n`);
    process.exitCode = 1;
  }
}

function readArguments() {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        page: { type: 'boolean' },
        resume: { type: 'boolean' },
        rounds: { type: 'string', default: '5' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const unknown = parsed.positionals.filter((name) => !Object.hasOwn(BENCHES, name));
    if (unknown.length > 0) {
      throw new Error(`unknown benchmark ${unknown.join(', ')}; expected ${Object.keys(BENCHES).join(', ')}`);
    }
    const { help, json, page, rounds } = parsed.values;
    const least = page ? 5 : 1;
    if (!/^[1-9]\d?$/.test(rounds) || Number(rounds) < least) {
      throw new Error(`--rounds ${rounds}: expected a whole number from ${least} to 99`);
    }
    process.env.ACGS_BENCH_ROUNDS = rounds;
    if (!help && json !== undefined) checkWritable(json);
    if (!help) return parsed;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
  process.stdout.write(HELP);
  process.exit(0);
}

/** Before the first measurement: a run takes minutes. */
function checkWritable(file: string): void {
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (isNew) rmSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`--json ${file}: cannot be written (${code}); expected a file in an existing folder`, {
      cause,
    });
  }
}

function selected(names: readonly string[], resume: boolean): string[] {
  const stored = readResults();
  const isFresh = (name: string): boolean =>
    resume && Date.now() - Date.parse(stored[name]?.at ?? '1970-01-01') < FRESH_MS;
  return Object.keys(BENCHES).filter(
    (name) => (names.length === 0 || names.includes(name)) && !isFresh(name),
  );
}

/** Runs one benchmark in a process of its own, so that nothing of it affects the next. Null when it fails. */
async function measure(name: string): Promise<BenchResult | null> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-bench-run-'));
  const file = join(folder, 'tables.json');
  process.stdout.write(`\n${name} …\n`);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'run-one.ts'), name, file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const end = (): void => killGroup(child.pid);
  const timer = setTimeout(end, DEADLINE_MS);
  const interrupt = (): void => {
    end();
    process.exit(130);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) return null;
    return {
      at: new Date().toISOString(),
      machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
      node: process.version,
      seconds: (performance.now() - startedAt) / 1_000,
      tables: JSON.parse(readFileSync(file, 'utf8')) as BenchTable[],
    };
  } finally {
    clearTimeout(timer);
    // What a failed benchmark has left running.
    end();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    rmSync(folder, { recursive: true, force: true });
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid) process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is empty.
  }
}

await main();
