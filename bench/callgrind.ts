import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';

/** Counts the instructions of a program that runs under callgrind. Needs valgrind. */

/** What a batch of work executed, without the kernel. */
export interface InstructionCount {
  total: number;
  /** Instructions in the given functions and in all that they call. */
  inclusive: number[];
}

/** Starts without counting; `countInstructions` finds the process by the folder. */
export const callgrindArguments = (folder: string): string[] => [
  '--tool=callgrind',
  '--instr-atstart=no',
  '--smc-check=all-non-file',
  `--callgrind-out-file=${folder}/out.%p`,
  vgdbPrefix(folder),
];

/** The pipes that callgrind_control uses: in the folder, because a program that is killed leaves them behind. */
const vgdbPrefix = (folder: string): string => `--vgdb-prefix=${join(folder, 'vgdb')}`;

/** `functions`: names as in the program's symbol table. `thread`: counts only this one, as `--separate-threads` numbers it. */
export async function countInstructions(
  folder: string,
  work: () => Promise<void>,
  { functions = [], thread }: { functions?: readonly string[]; thread?: number } = {},
): Promise<InstructionCount> {
  const pid = pidIn(folder);
  const control = (option: string): string =>
    execFileSync('callgrind_control', [vgdbPrefix(folder), option, pid], {
      encoding: 'utf8',
      timeout: 60_000,
      stdio: 'pipe',
    });
  control('--zero');
  control('--instr=on');
  await work();
  control('--instr=off');
  const before = new Set(readdirSync(folder));
  control('--dump');
  const suffix = thread === undefined ? '' : `-${String(thread).padStart(2, '0')}`;
  const dumps = readdirSync(folder).filter(
    (name) => name.startsWith('out.') && name.endsWith(suffix) && !before.has(name),
  );
  const counts = dumps.map((name) => readDump(join(folder, name), functions));
  const sum = (of: (count: InstructionCount) => number): number =>
    counts.reduce((total, count) => total + of(count), 0);
  return {
    total: sum(({ total }) => total),
    inclusive: functions.map((_, index) => sum(({ inclusive }) => inclusive[index] ?? 0)),
  };
}

function readDump(file: string, functions: readonly string[]): InstructionCount {
  const total = Number(/^totals: (\d+)/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 0);
  if (functions.length === 0) return { total, inclusive: [] };
  const text = execFileSync('callgrind_annotate', ['--inclusive=yes', '--threshold=100', file], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const inclusive = functions.map((name) => {
    const [, figure = '0'] = new RegExp(`^ *([\\d,]+) .*:${name} \\[`, 'm').exec(text) ?? [];
    return Number(figure.replaceAll(',', ''));
  });
  return { total, inclusive };
}

/** Sends requests one after another on one connection. */
export function sequentialClient(
  url: string,
  headers: Record<string, string>,
): (count: number) => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = () =>
    new Promise<void>((resolve, reject) => {
      request(url, { agent, headers }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url}: status ${response.statusCode}`));
        response.resume().on('end', resolve);
      })
        .on('error', reject)
        .end();
    });
  return async (count) => {
    for (let index = 0; index < count; index++) await send();
  };
}

/** Callgrind has the name of its output file among its arguments. */
function pidIn(folder: string): string {
  const pid = readdirSync('/proc').find(
    (name) => /^\d+$/.test(name) && commandLine(name).includes(`out-file=${folder}/`),
  );
  if (pid === undefined) throw new Error('the program no longer runs under valgrind');
  return pid;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It has ended.
    return '';
  }
}
