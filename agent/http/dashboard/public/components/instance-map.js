import { h } from '../dom.js';

/** @import { StatusInstance } from '../types.d.ts' */

const PER_ROW = 50;
const STEP = 10;
/** Taller cells are worse, so that color is not the only sign. @type {Record<string, string>} */
const CELLS = { up: 'm0 5v3h7v-3z', draining: 'm0 3v5h7v-5z', probation: 'm0 3v5h7v-5z', down: 'v8h7v-8z' };

/** Every instance of a service as a small cell, in configuration order. @param {readonly StatusInstance[]} instances @param {string} label */
export function instanceMap(instances, label) {
  const rows = Math.ceil(instances.length / PER_ROW);
  const columns = Math.min(instances.length, PER_ROW);
  const paths = Object.entries(CELLS).map(([state, cell]) => {
    const cells = instances.map((instance, index) =>
      instance.state === state
        ? `M${(index % PER_ROW) * STEP} ${Math.floor(index / PER_ROW) * STEP}${cell}`
        : '',
    );
    return h('path', { class: state, d: cells.join('') });
  });
  return h(
    'svg',
    {
      class: 'map',
      width: columns * STEP,
      height: rows * STEP,
      viewBox: `0 0 ${columns * STEP} ${rows * STEP}`,
      role: 'img',
      'aria-label': label,
    },
    paths,
  );
}
