import { h } from '../dom.js';

const SHAPES = /** @type {Record<string, string>} */ ({
  // Every state has its own shape, so that color is not the only sign.
  up: 'M3 8.5l3.2 3.2L13 5',
  probation: 'M8 2.2a5.8 5.8 0 1 0 .01 0M8 5v3.2l2.2 1.4',
  draining: 'M8 3v8M4.5 8L8 11.5 11.5 8',
  down: 'M4 4l8 8M12 4l-8 8',
  fine: 'M3 8.5l3.2 3.2L13 5',
  warn: 'M8 3.5v5.5M8 12v.3',
  bad: 'M4 4l8 8M12 4l-8 8',
  note: 'M8 7v5M8 4v.3',
  accent: 'M8 3v10M4 7l4-4 4 4',
});

/** @param {string} name */
export function icon(name) {
  return h(
    'svg',
    { viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true' },
    h('path', { d: SHAPES[name] ?? SHAPES.note ?? '' }),
  );
}

/** @param {string} state @param {string} text */
export function pill(state, text) {
  return h('span', { class: `pill ${state}` }, icon(state), text);
}
