const BARS = '▁▂▃▄▅▆▇█';
/** No data. */
const GAP = '·';

/**
 * One character per step, or per several steps when there are more of them than `width`; then the highest value counts.
 * The scale begins at 0.
 */
export function sparkline(values: readonly (number | null)[], width: number): string {
  const points = shrink(values, width);
  const top = Math.max(0, ...points.map((value) => value ?? 0));
  return points
    .map((value) => {
      if (value === null) return GAP;
      const level = top === 0 ? 0 : Math.round((value / top) * (BARS.length - 1));
      return BARS[Math.max(0, level)] ?? GAP;
    })
    .join('');
}

function shrink(values: readonly (number | null)[], width: number): (number | null)[] {
  if (values.length <= width) return [...values];
  return Array.from({ length: width }, (_, index) => {
    const from = Math.floor((index * values.length) / width);
    const to = Math.floor(((index + 1) * values.length) / width);
    const known = values.slice(from, to).filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  });
}
