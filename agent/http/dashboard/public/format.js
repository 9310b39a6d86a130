/** @param {number} ms */
export function ageText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** @param {number} at epoch milliseconds */
function clockText(at) {
  return new Date(at).toLocaleTimeString([], { hour12: false });
}

/** The time; on another day with the date. @param {number} at epoch milliseconds */
export function whenText(at) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  const day = today ? '' : `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} `;
  return day + clockText(at);
}

/** A label of a time axis. @param {number} at epoch milliseconds @param {boolean} days whether the labels are days */
export function plotTimeText(at, days) {
  const date = new Date(at);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  if (days || midnight) return date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
  const seconds = date.getSeconds() === 0 ? '' : `:${String(date.getSeconds()).padStart(2, '0')}`;
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}${seconds}`;
}

/** One decimal below 10, none above. @param {number | null | undefined} value */
export function numberText(value) {
  if (value === null || value === undefined) return '–';
  if (value !== 0 && Math.abs(value) < 10) return value.toFixed(1).replace(/\.0$/, '');
  return Math.round(value).toLocaleString('en-GB');
}

/** @param {number | null | undefined} value */
export function percentText(value) {
  if (value === null || value === undefined) return '–';
  return `${value === 0 ? '0' : value < 0.01 ? '<0.01' : value.toFixed(value < 10 ? 2 : 1)} %`;
}

/** @param {number | null | undefined} value */
export function msText(value) {
  if (value === null || value === undefined) return '–';
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${numberText(value)} ms`;
}

/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count.toLocaleString('en-GB')} ${noun}${count === 1 ? '' : 's'}`;

const STATE_TEXTS = /** @type {Record<string, string>} */ ({
  up: 'up',
  probation: 'on probation',
  draining: 'draining',
  down: 'down',
});

/** @param {string} state */
export const stateText = (state) => STATE_TEXTS[state] ?? state;
