import { median } from './wrk.ts';

/** One measurement: the variants of one run, compared with a named baseline of the same run. */
export interface BenchTable {
  title: string;
  unit: string;
  /** `what` of the row that the ratios refer to. */
  baseline: string;
  rows: BenchRow[];
  goals: BenchGoal[];
}

export interface BenchRow {
  what: string;
  /** Median of the rounds. */
  value: number;
  /** Median of the ratios to the baseline, round by round. */
  ratio: number;
  rounds: number[];
}

/** A limit for the ratio of a row to the baseline, or for its value. */
export interface BenchGoal {
  what: string;
  /** Default: ratio. */
  figure?: 'ratio' | 'value';
  atLeast?: number;
  atMost?: number;
}

type Measure = () => Promise<number> | number;

/** `npm run bench -- --rounds N` sets the variable. */
export const ROUNDS = Number(process.env.ACGS_BENCH_ROUNDS ?? 5);

/**
 * Measures all variants in turn, round after round, so that other load on the machine affects all of them. The first
 * variant is the baseline.
 */
export async function compareInterleaved(
  title: string,
  unit: string,
  variants: Readonly<Record<string, Measure>>,
  rounds = ROUNDS,
): Promise<BenchTable> {
  const measured = Object.entries(variants).map(([what, measure]) => ({
    what,
    measure,
    values: [] as number[],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const one of measured) one.values.push(await one.measure());
  }
  return tableOf(
    title,
    unit,
    measured.map(({ what, values }) => ({ what, rounds: values })),
  );
}

/** A table of rounds that were measured in turn. The first row is the baseline. */
export function tableOf(
  title: string,
  unit: string,
  rows: readonly { what: string; rounds: number[] }[],
  goals: BenchGoal[] = [],
): BenchTable {
  const base = rows[0];
  return {
    title,
    unit,
    baseline: base?.what ?? '',
    rows: rows.map(({ what, rounds }) => ({
      what,
      rounds,
      value: median(rounds),
      ratio: median(ratiosTo(base?.rounds ?? [], rounds)),
    })),
    goals,
  };
}

/** Ratios round by round; 1 where the baseline has no value. */
export const ratiosTo = (base: readonly number[], rounds: readonly number[]): number[] =>
  rounds.map((value, round) => (base[round] ? value / base[round] : 1));

/** The lowest and the highest ratio of the rounds, such as "0.96–1.16"; empty when they are the same. */
export function spreadText({ rounds }: BenchRow, base: readonly number[]): string {
  const ratios = ratiosTo(base, rounds);
  const [low, high] = [Math.min(...ratios).toFixed(2), Math.max(...ratios).toFixed(2)];
  return low === high ? '' : `${low}–${high}`;
}

/** The rounds of the row that the ratios refer to. */
export const baselineRounds = ({ baseline, rows }: BenchTable): readonly number[] =>
  rows.find(({ what }) => what === baseline)?.rounds ?? [];

export function printTable(table: BenchTable): void {
  const { title, unit, baseline, rows, goals } = table;
  const base = baselineRounds(table);
  console.log(`\n${title} (${unit}, median of ${rows[0]?.rounds.length ?? 0}; ratio to ${baseline})`);
  console.table(
    rows.map((row) => ({
      what: row.what,
      [unit]: readable(row.value),
      ratio: readable(row.ratio),
      'lowest–highest ratio': spreadText(row, base),
    })),
  );
  for (const goal of goals) console.log(goalText(goal, rows));
}

export interface GoalResult {
  what: string;
  /** For example "≥ 0.85". */
  limits: string;
  measured: number;
  isReached: boolean;
}

export function goalResult(goal: BenchGoal, rows: readonly BenchRow[]): GoalResult {
  const { what, figure = 'ratio', atLeast, atMost } = goal;
  const measured = rows.find((row) => row.what === what)?.[figure] ?? Number.NaN;
  const limits = [atLeast === undefined ? '' : `≥ ${atLeast}`, atMost === undefined ? '' : `≤ ${atMost}`];
  return {
    what,
    limits: limits.filter(Boolean).join(', '),
    measured: readable(measured),
    isReached:
      measured >= (atLeast ?? Number.NEGATIVE_INFINITY) && measured <= (atMost ?? Number.POSITIVE_INFINITY),
  };
}

/** For example "goal: edge ≥ 0.85: 0.79, missed". */
export function goalText(goal: BenchGoal, rows: readonly BenchRow[]): string {
  const { what, limits, measured, isReached } = goalResult(goal, rows);
  return `goal: ${what} ${limits}: ${measured}, ${isReached ? 'reached' : 'missed'}`;
}

/** Three significant digits. */
export const readable = (value: number): number =>
  value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
