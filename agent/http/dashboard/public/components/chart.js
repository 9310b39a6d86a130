import { h } from '../dom.js';

/**
 * Five minutes in 60 steps; a gap is a step without data.
 * @param {(number | null)[]} values oldest first
 * @param {{ label: string, kind?: 'line' | 'bars', tone?: string, unit?: string, minTop?: number }} options
 *   `minTop`: the smallest top of the scale, so that noise near zero looks small
 */
export function chart(values, { label, kind = 'line', tone = 'accent', unit = '', minTop = 1 }) {
  const top = Math.max(minTop, ...values.map((value) => value ?? 0)) * 1.08;
  const last = values.length - 1;
  const y = (/** @type {number} */ value) => (40 - (value / top) * 38 - 1).toFixed(2);
  const shapes =
    kind === 'bars'
      ? [h('path', { class: 'bars', d: bars(values, y) })]
      : [
          h('path', { class: 'area', d: areas(values, y) }),
          h('path', {
            class: 'line',
            d: runs(values)
              .map((run) => line(run, y))
              .join(''),
          }),
        ];
  return h(
    'svg',
    {
      class: `chart ${tone}`,
      viewBox: `0 0 ${last} 40`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
      'data-values': JSON.stringify(
        values.map((value) => (value === null ? null : Math.round(value * 100) / 100)),
      ),
      'data-unit': unit,
    },
    shapes,
  );
}

/** @typedef {{ x: number, value: number }} Point */

/** Runs of points without a gap. @param {(number | null)[]} values */
function runs(values) {
  /** @type {Point[][]} */
  const found = [[]];
  for (const [x, value] of values.entries()) {
    if (value === null) found.push([]);
    else found.at(-1)?.push({ x, value });
  }
  return found.filter((run) => run.length > 0);
}

/** @param {Point[]} run @param {(value: number) => string} y */
function line(run, y) {
  const [first] = run;
  if (!first) return '';
  // A single point draws nothing without a short stroke.
  if (run.length === 1) return `M${first.x - 0.3} ${y(first.value)}h.6`;
  return `M${run.map(({ x, value }) => `${x} ${y(value)}`).join('L')}`;
}

/** @param {(number | null)[]} values @param {(value: number) => string} y */
function areas(values, y) {
  return runs(values)
    .filter((run) => run.length > 1)
    .map((run) => `${line(run, y)}L${run.at(-1)?.x} 40L${run[0]?.x} 40Z`)
    .join('');
}

/** @param {(number | null)[]} values @param {(value: number) => string} y */
function bars(values, y) {
  return values.map((value, x) => (value ? `M${x} 40V${y(value)}` : '')).join('');
}

/** Shows the value under the pointer. @param {HTMLElement} tip */
export function watchCharts(tip) {
  document.addEventListener('pointermove', (event) => {
    const found = event.target instanceof Element ? event.target.closest('.chart') : null;
    const values = found?.getAttribute('data-values');
    if (!found || !values) {
      tip.classList.remove('shown');
      return;
    }
    /** @type {(number | null)[]} */
    const series = JSON.parse(values);
    const box = found.getBoundingClientRect();
    const index = Math.round(((event.clientX - box.left) / box.width) * (series.length - 1));
    const value = series[Math.max(0, Math.min(series.length - 1, index))];
    const ago = (series.length - 1 - index) * 5;
    const when =
      ago < 5 ? 'now' : ago < 60 ? `${ago} s ago` : `${Math.floor(ago / 60)} min ${ago % 60} s ago`;
    tip.textContent = `${value === null || value === undefined ? 'no traffic' : `${value} ${found.getAttribute('data-unit')}`}, ${when}`;
    tip.classList.add('shown');
    const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
    tip.style.transform = `translate(${left}px, ${Math.max(4, event.clientY - 34)}px)`;
  });
  document.addEventListener('pointerleave', () => tip.classList.remove('shown'));
}
