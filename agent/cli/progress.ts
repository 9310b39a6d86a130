import stringWidth from 'fast-string-width';
import { formatAge } from './format.ts';
import { type Terminal, truncate } from './terminal.ts';

/** Reports the current step of long work and, when it can be counted, how much of the step is done. */
export type ReportProgress = (step: string, done?: number, total?: number, unit?: string) => void;

export const toMiB = (bytes: number): number => Math.round(bytes / 104_857.6) / 10;

/** Work that ends earlier shows no progress. */
const DELAY_MS = 300;
const REDRAW_MS = 100;
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const BAR_WIDTH = 24;

/** Shows the progress of `work` on a terminal, and removes it when the work ends or fails. */
export async function withProgress<T>(
  terminal: Terminal,
  work: (report: ReportProgress) => Promise<T>,
  now: () => number = Date.now,
): Promise<T> {
  if (!terminal.showsProgress) return work(() => {});
  const startedAt = now();
  let state: ProgressStep | null = null;
  let drawnAt = 0;
  const draw = () => {
    const at = now();
    if (state === null || at - startedAt < DELAY_MS || at - drawnAt < REDRAW_MS) return;
    drawnAt = at;
    terminal.progressLine(formatProgress(state, at, terminal));
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
      // Work that blocks the event loop also blocks the timer.
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

/** Formats one line that fits: `⠋ reading  4s` or `rolling up  ━━━━━━────  58 %  167 of 288 hours, 12s left`. */
export function formatProgress(
  { step, since, count }: ProgressStep,
  now: number,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string {
  const elapsed = now - since;
  if (!count) {
    const spinner = SPINNER[Math.floor(now / REDRAW_MS) % SPINNER.length] ?? '';
    return truncate(`${spinner} ${step}${elapsed < 1_000 ? '' : `  ${formatAge(elapsed)}`}`, columns - 1);
  }
  const share = Math.min(1, count.done / count.total);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = paint('green', '━'.repeat(filled)) + paint('dim', '─'.repeat(BAR_WIDTH - filled));
  const left =
    elapsed > 2_000 && share > 0.02 && share < 1
      ? `, ${formatAge((elapsed / share) * (1 - share))} left`
      : '';
  const unit = count.unit ? ` ${count.unit}` : '';
  const figures = `${count.done} of ${count.total}${unit}`;
  const percent = `${String(Math.floor(share * 100)).padStart(3)} %`;
  const variants = [`${step}  ${bar} ${percent}  ${figures}${left}`, `${step}  ${bar} ${percent}`];
  return variants.find((line) => stringWidth(line) < columns) ?? truncate(`${step} ${percent}`, columns - 1);
}

/** Roll-up reports the remaining hours, then the remaining days. The first number of each is the total. */
export function rollUpProgress(report: ReportProgress): (left: { hours: number; days: number }) => void {
  const total = { hours: 0, days: 0 };
  return (left) => {
    const unit = left.hours > 0 ? 'hours' : 'days';
    total[unit] = Math.max(total[unit], left[unit]);
    report(`rolling up ${unit}`, total[unit] - left[unit], total[unit]);
  };
}
