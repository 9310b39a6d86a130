import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createFaultyHost } from '../compare/namespace.ts';
import { type Bed, type BedOptions, servesWithin, startBed } from './bed.ts';
import { AGENT_FAULTS, SNAPSHOT_FAULTS } from './catalogue/agent.ts';
import { GATEWAY_FAULTS } from './catalogue/gateway.ts';
import { INSTANCE_FAULTS } from './catalogue/instances.ts';
import { SITE_FAULTS } from './catalogue/sites.ts';
import { STORE_FAULTS } from './catalogue/stores.ts';
import type { BedKind, MatrixFault } from './matrix-fault.ts';
import { CAPACITY, measureCurve } from './overload.ts';
import { measureClasses } from './overload-classes.ts';
import { writeOverload } from './overload-page.ts';
import { mergeRows, writeFaultsPage } from './page.ts';
import { type MatrixRow, runFault } from './run-fault.ts';
import { type SoakMinute, soak } from './soak.ts';
import { writeSoak } from './soak-page.ts';

const FAULTS: readonly MatrixFault[] = [
  ...INSTANCE_FAULTS,
  ...GATEWAY_FAULTS,
  ...STORE_FAULTS,
  ...AGENT_FAULTS,
  ...SNAPSHOT_FAULTS,
  ...SITE_FAULTS,
];

const NAMES = FAULTS.map(({ name }) => name);

const HELP = `npm run chaos -- [options]     break a running system under load and check every answer

  --list             print the names of the faults
  --only A,B         run these faults only; a name may end in *
  --page             write the results to docs/faults.md, and keep those of faults that did not run
  --overload         measure the overload curve instead: × 0.5 to × 10 of a service's capacity
  --soak MINUTES     moderate load with a random fault in each minute
  --help             print this text
`;

/** After Ctrl-C the current fault ends, and everything is stopped. */
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}

class ChaosUsageError extends Error {}

interface ChaosOptions {
  faults: readonly MatrixFault[];
  page: boolean;
  list: boolean;
  overload: boolean;
  soakMinutes: number | null;
  help: boolean;
}

function parseOptions(args: string[]): ChaosOptions {
  const { values } = parseArgs({
    args,
    options: {
      list: { type: 'boolean', default: false },
      only: { type: 'string', default: '*' },
      page: { type: 'boolean', default: false },
      overload: { type: 'boolean', default: false },
      soak: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const patterns = values.only.split(',');
  const faults = FAULTS.filter(({ name }) => patterns.some((pattern) => matches(name, pattern)));
  for (const pattern of patterns) {
    if (!FAULTS.some(({ name }) => matches(name, pattern)))
      throw new ChaosUsageError(`--only ${pattern}: no fault has this name; --list prints the names`);
  }
  return { ...values, faults, soakMinutes: values.soak === undefined ? null : minutesOf(values.soak) };
}

function minutesOf(text: string): number {
  const minutes = Number(text);
  if (Number.isInteger(minutes) && minutes >= 1 && minutes <= 1_440) return minutes;
  throw new ChaosUsageError(`--soak ${text}: expected a whole number of minutes, 1 to 1440`);
}

const matches = (name: string, pattern: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help || options.list) {
    process.stdout.write(options.help ? HELP : `${FAULTS.map(({ name }) => name).join('\n')}\n`);
    return 0;
  }
  if (options.overload) return drawOverload(options);
  if (options.soakMinutes !== null) return runSoak(options.soakMinutes, options);
  return runMatrix(options);
}

async function drawOverload({ page }: ChaosOptions): Promise<number> {
  const print = (row: object): void => void process.stdout.write(`${JSON.stringify(row)}\n`);
  const curve = await measureCurve(print);
  const classes = await measureClasses(print);
  if (page) writeOverload(curve, classes, CAPACITY);
  return 0;
}

async function runSoak(minutes: number, { faults, page }: ChaosOptions): Promise<number> {
  const done: SoakMinute[] = [];
  await soak(minutes, faults, (minute) => {
    done.push(minute);
    process.stdout.write(`${JSON.stringify(minute)}\n`);
    if (page) writeSoak(done);
  });
  return done.some(({ wrong, calmFailed }) => wrong + calmFailed > 0) ? 1 : 0;
}

async function runMatrix(options: ChaosOptions): Promise<number> {
  const rows: MatrixRow[] = [];
  for (const [kind, faults] of Map.groupBy(options.faults, ({ bed = 'plain' }) => bed)) {
    if (interrupted) break;
    await runInBed(kind, faults, (row) => {
      rows.push(row);
      if (options.page) writeFaultsPage(mergeRows([row], NAMES), NAMES);
    });
  }
  const broken = rows.filter((row) => row.broken.length > 0).length;
  process.stdout.write(`${rows.length} faults, ${broken} not as expected\n`);
  return broken > 0 || rows.length < options.faults.length ? 1 : 0;
}

async function runInBed(
  kind: BedKind,
  faults: readonly MatrixFault[],
  onRow: (row: MatrixRow) => void,
): Promise<void> {
  const faultyHost = (kind === 'faulty-host' ? createFaultyHost() : null) ?? undefined;
  if (kind === 'faulty-host' && !faultyHost) {
    process.stderr.write(`${faults.map(({ name }) => name).join(', ')}: skipped: needs root and iproute2\n`);
    return;
  }
  let bed = await startWarmBed(kind, faultyHost);
  let isBroken = false;
  try {
    for (const [turn, fault] of faults.entries()) {
      if (interrupted) break;
      // Instances that fell several times are held down for minutes.
      if (isBroken || !(await servesWithin(bed, 20_000))) {
        await bed.stop();
        bed = await startWarmBed(kind, faultyHost);
      }
      isBroken = !(await runOne(fault, bed, turn, onRow));
    }
  } finally {
    await bed.stop();
    faultyHost?.remove();
  }
}

async function startWarmBed(kind: BedKind, faultyHost: BedOptions['faultyHost']): Promise<Bed> {
  const bed = await startBed(bedOptions(kind, faultyHost));
  // The first seconds belong to slow start.
  await sleep(3_000);
  return bed;
}

function bedOptions(kind: BedKind, faultyHost: BedOptions['faultyHost']): BedOptions {
  if (kind === 'two-agents') return { nodes: 2 };
  if (kind === 'two-sites') return { twoSites: true };
  if (kind === 'faketime') return { movableClock: true };
  return { faultyHost };
}

/** False when the fault could not be started or removed. */
async function runOne(
  fault: MatrixFault,
  bed: Bed,
  turn: number,
  onRow: (row: MatrixRow) => void,
): Promise<boolean> {
  // Each fault strikes another instance, because the last one is still recovering.
  const victim = bed.faultyHost ? bed.instances[0] : bed.instances[(turn * 4) % bed.instances.length];
  if (!victim) throw new Error('the bed has no instances');
  try {
    const row = await runFault(fault, bed, victim);
    onRow(row);
    process.stdout.write(`${lineOf(row)}\n`);
    if (row.broken.length > 0) process.stderr.write(`${await diagnosis(bed)}\n`);
    return true;
  } catch (error) {
    process.stdout.write(`${fault.name}: did not run: ${error instanceof Error ? error.message : error}\n`);
    return false;
  }
}

/** The latest decisions of the agent, and the log of the edge that clients used. */
async function diagnosis(bed: Bed): Promise<string> {
  const response = await fetch(`${bed.node.api}/v1/status`, { signal: AbortSignal.timeout(1_000) }).catch(
    () => null,
  );
  const { changes = [] } = ((await response?.json()) ?? {}) as { changes?: object[] };
  return [...changes.slice(0, 12).map((change) => JSON.stringify(change)), bed.edgeLog()].join('\n');
}

function lineOf(row: MatrixRow): string {
  const { name, requests, failed, repeatableFailed, worstMs, detectMs, recoverMs, broken, failures } = row;
  const detected =
    detectMs === undefined ? '' : `, detected ${detectMs === null ? 'never' : `${detectMs.toFixed(0)} ms`}`;
  const verdict = broken.length > 0 ? `BROKEN ${broken.join('; ')}` : 'ok';
  return `${name}: ${failed} of ${requests} failed (${repeatableFailed} repeatable), worst ${worstMs.toFixed(0)} ms${detected}, recovered ${recoverMs.toFixed(0)} ms: ${verdict}${failures && ` [${failures}]`}`;
}

const exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  const isUsage = error instanceof ChaosUsageError || (error instanceof TypeError && 'code' in error);
  if (!isUsage) throw error;
  process.stderr.write(`${error.message}\n\n${HELP}`);
  return 2;
});
// A killed program may leave a connection open.
process.exit(exitCode);
