/** @import { StatusInstance } from './types.d.ts' */

/** The median of the other instances that have traffic. Pure. @param {readonly StatusInstance[]} instances @param {string} id */
export function peerFigures(instances, id) {
  const peers = instances.filter((each) => each.id !== id && each.traffic.p50 !== null);
  const figure = (/** @type {'p50' | 'p95' | 'errorPercent'} */ name) =>
    median(peers.flatMap(({ traffic }) => (traffic[name] === null ? [] : [traffic[name]])));
  return {
    count: peers.length,
    p50: figure('p50'),
    p95: figure('p95'),
    errorPercent: figure('errorPercent'),
  };
}

/** @param {number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? null;
  const lower = sorted[Math.ceil(middle) - 1] ?? null;
  return upper === null || lower === null ? null : (upper + lower) / 2;
}
