/** Number formats for the terminal and the page. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

export const NONE = '–';

export const count = (value: number | null): string => (value === null ? NONE : whole.format(value));

/** Three significant digits; whole numbers from 100. */
export const amount = (value: number | null): string =>
  value === null ? NONE : Math.abs(value) >= 100 ? whole.format(value) : fine.format(value);

/** A latency without its unit. HAProxy measures whole milliseconds, so a sketch value near zero means 0. */
export const milliseconds = (value: number | null): string =>
  value !== null && value < 0.05 ? '0' : amount(value);

export const ms = (value: number | null): string => (value === null ? NONE : `${amount(value)} ms`);

/** 0.9995 → "99.95 %". Rounds down, so that a missed target never looks met. */
export function percent(ratio: number | null, digits = 2): string {
  if (ratio === null) return NONE;
  const factor = 10 ** (digits + 2);
  const shown = ratio < 1 ? Math.floor(ratio * factor + 1e-9) / factor : ratio;
  return `${(shown * 100).toFixed(digits)} %`;
}

/** An error rate or a share, rounded to nearest. */
export function share(ratio: number | null): string {
  if (ratio === null) return NONE;
  if (!Number.isFinite(ratio)) return 'all';
  const value = ratio * 100;
  return `${value === 0 ? '0' : value < 0.01 ? '<0.01' : value < 10 ? value.toFixed(2) : value.toFixed(0)} %`;
}

/** 42 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function formatDuration(seconds: number): string {
  const s = Math.round(seconds);
  const two = (a: number, unitA: string, b: number, unitB: string) =>
    b > 0 ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`;
  if (s < 60) return `${s} s`;
  if (s < 3_600) return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return two(Math.floor(s / 3_600), 'h', Math.floor((s % 3_600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3_600), 'h');
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Epoch seconds as "24 Nov 2026". All times of a report are UTC. */
export function day(at: number): string {
  const date = new Date(at * 1000);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

export function shortDay(at: number): string {
  const date = new Date(at * 1000);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

export const clock = (at: number): string => new Date(at * 1000).toISOString().slice(11, 16);

export const instant = (at: number): string => `${day(at)} ${clock(at)}`;
