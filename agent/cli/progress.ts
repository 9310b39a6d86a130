import { formatAge } from './format.ts';
import { displayWidth, type Terminal, truncate } from './terminal.ts';

/*
 * Our own lines and not a library's: cli-progress had its last release in 2023, ora draws no bar, listr2 brings a
 * renderer with a log of its own. This is one line, redrawn in place.
 */

/** What long work tells of itself: the step it is at, and how much of that is done, where it can be counted. */
export type ReportProgress = (step: string, done?: number, total?: number, unit?: string) => void;

export const toMiB = (bytes: number): number => Math.round(bytes / 104_857.6) / 10;

/** Work that is done sooner shows nothing. */
const QUIET_MS = 300;
const REDRAW_MS = 100;
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const BAR = 24;

/** Shows how far `work` is while a person looks on; whatever becomes of it, nothing of that stays on the screen. */
export async function withProgress<T>(
  terminal: Terminal,
  work: (tell: ReportProgress) => Promise<T>,
  now: () => number = Date.now,
): Promise<T> {
  if (!terminal.showsProgress) return work(() => {});
  const began = now();
  let state: ProgressStep | null = null;
  let drawnAt = 0;
  const draw = () => {
    const at = now();
    if (state === null || at - began < QUIET_MS || at - drawnAt < REDRAW_MS) return;
    drawnAt = at;
    terminal.progressLine(progressLine(state, at, terminal));
  };
  const timer = setInterval(draw, REDRAW_MS);
  const interrupted = () => {
    terminal.progressLine('');
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  try {
    return await work((step, done, total, unit) => {
      const since = state?.step === step ? state.since : now();
      state = { step, since, ...(done !== undefined && total ? { count: { done, total, unit } } : {}) };
      // Work that computes for long lets no timer run.
      draw();
    });
  } finally {
    clearInterval(timer);
    process.off('SIGINT', interrupted);
    terminal.progressLine('');
  }
}

export interface ProgressStep {
  step: string;
  since: number;
  count?: { done: number; total: number; unit: string | undefined };
}

/** `⠋ reading  4s`, or `rolling up  ━━━━━━────  58 %  167 of 288 hours, 12s left`, as much of it as fits. */
export function progressLine(
  { step, since, count }: ProgressStep,
  now: number,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string {
  const passed = now - since;
  if (!count) {
    const spinner = SPINNER[Math.floor(now / REDRAW_MS) % SPINNER.length] ?? '';
    return truncate(`${spinner} ${step}${passed < 1_000 ? '' : `  ${formatAge(passed)}`}`, columns - 1);
  }
  const share = Math.min(1, count.done / count.total);
  const filled = Math.round(share * BAR);
  const bar = paint('green', '━'.repeat(filled)) + paint('dim', '─'.repeat(BAR - filled));
  const left =
    passed > 2_000 && share > 0.02 && share < 1 ? `, ${formatAge((passed / share) * (1 - share))} left` : '';
  const unit = count.unit ? ` ${count.unit}` : '';
  const figures = `${count.done} of ${count.total}${unit}`;
  const percent = `${String(Math.floor(share * 100)).padStart(3)} %`;
  const ways = [`${step}  ${bar} ${percent}  ${figures}${left}`, `${step}  ${bar} ${percent}`];
  return ways.find((line) => displayWidth(line) < columns) ?? truncate(`${step} ${percent}`, columns - 1);
}

/** The rolling up tells what is left of hours, then of days; the first of each is all there is. */
export function rollUpProgress(tell: ReportProgress): (left: { hours: number; days: number }) => void {
  const all = { hours: 0, days: 0 };
  return (left) => {
    const unit = left.hours > 0 ? 'hours' : 'days';
    all[unit] = Math.max(all[unit], left[unit]);
    tell(`rolling up ${unit}`, all[unit] - left[unit], all[unit]);
  };
}
