import { CommandFailed } from '../errors.ts';

/** Result of a check. Warnings and failures have `mend`: how to fix the problem. */
export interface Finding {
  name: string;
  state: 'ok' | 'warn' | 'fail' | 'skip';
  detail: string;
  mend?: string;
}

export const ok = (name: string, detail: string): Finding => ({ name, state: 'ok', detail });
export const skip = (name: string, detail: string): Finding => ({ name, state: 'skip', detail });
export const warn = (name: string, detail: string, mend: string): Finding => ({
  name,
  state: 'warn',
  detail,
  mend,
});
export const fail = (name: string, detail: string, mend: string): Finding => ({
  name,
  state: 'fail',
  detail,
  mend,
});

/** The first line of the error message, or the system's error code. */
export function errorSummary(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CommandFailed) return error.message;
  const inner = error.cause instanceof Error ? error.cause : error;
  const code = (inner as NodeJS.ErrnoException).code;
  const text = inner.message || code || error.message;
  return text.split('\n')[0] ?? text;
}

/** Compares another clock with ours. Edge tokens are valid for 60 s: over 30 s apart is a failure, over 5 s a warning. */
export function checkClock(name: string, theirs: number, ours: number): Finding {
  const seconds = Math.round((theirs - ours) / 100) / 10;
  const detail = `${Math.abs(seconds)} s ${seconds >= 0 ? 'ahead of' : 'behind'} this host`;
  const mend = 'run an NTP client (chrony, systemd-timesyncd) on both hosts; edge tokens are valid for 60 s';
  if (Math.abs(seconds) > 30) return fail(name, detail, mend);
  if (Math.abs(seconds) > 5) return warn(name, detail, mend);
  return ok(name, Math.abs(seconds) <= 1 ? 'agrees with this host' : detail);
}
