import type { Terminal } from './terminal.ts';

type StateStyle = Parameters<Terminal['paint']>[0];

/** Colour of a state, the same in every command. */
export function stateStyle(state: string): StateStyle {
  if (['up', 'ready', 'closed', 'ok', 'leader', 'single'].includes(state)) return 'green';
  if (['probation', 'draining', 'drain', 'half_open', 'retrying', 'standby', 'unknown'].includes(state))
    return 'yellow';
  if (['down', 'open', 'maint', 'failed'].includes(state)) return 'red';
  return 'reset';
}

/** Formats a duration: `4s`, `12m`, `3h`, `9d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

/** Formats a number; `–` when it is missing. Values below 10 get at least one decimal. */
export function formatNumber(value: number | null | undefined, digits = 0): string {
  return value === null || value === undefined
    ? '–'
    : value.toFixed(value !== 0 && value < 10 ? Math.max(digits, 1) : digits);
}

export const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

/** Formats a time as `14:03:07` in the local time zone. */
export function formatClock(at: number): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}
