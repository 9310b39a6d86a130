import { CommandFailed } from '../errors.ts';

/** What a check found. `mend` says what to do about it, whenever something is to be done. */
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

/** One line of what went wrong, with the system's code where it has one. */
export function errorSummary(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CommandFailed) return error.message;
  const inner = error.cause instanceof Error ? error.cause : error;
  const code = (inner as NodeJS.ErrnoException).code;
  const text = inner.message || code || error.message;
  return text.split('\n')[0] ?? text;
}

/** How far another clock is from ours. Edge tokens live for 60 s, so half of that is already dangerous. */
export function checkClock(name: string, theirs: number, ours: number): Finding {
  const seconds = Math.round((theirs - ours) / 100) / 10;
  const detail = `${Math.abs(seconds)} s ${seconds >= 0 ? 'ahead of' : 'behind'} this host`;
  const mend = 'run an NTP client (chrony, systemd-timesyncd) on both hosts: edge tokens are valid for 60 s';
  if (Math.abs(seconds) > 30) return fail(name, detail, mend);
  if (Math.abs(seconds) > 5) return warn(name, detail, mend);
  return ok(name, Math.abs(seconds) <= 1 ? 'agrees with this host' : detail);
}
