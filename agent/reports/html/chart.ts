import { amount } from '../format.ts';
import { niceTicks, timeTicks } from './axes.ts';
import { type Markup, markup } from './markup.ts';

/**
 * Charts stretch to the width of the page. The drawing is an SVG without text whose lines keep their thickness; labels
 * are HTML beside it, so that text is readable at any width.
 */
export interface ChartFrame {
  title: string;
  /** Label of the vertical axis, with its unit: "Response time, ms". */
  axis: string;
  from: number;
  to: number;
  /** Pixels. */
  height: number;
  /** The axis reaches at least this far. */
  atLeast?: number;
  target?: { value: number; label: string };
  format?: (value: number) => string;
  /** False for small charts below a large one of the same kind. */
  legend?: boolean;
}

export interface ChartLine {
  name: string;
  /** CSS class for color and dash: `s1` to `s3`, `bad`. */
  style: string;
  values: readonly (number | null)[];
  /** Filled down to the axis. */
  area?: boolean;
}

export interface ChartBar {
  name: string;
  style: string;
  values: readonly (number | null)[];
}

const WIDTH = 1_000;
const HEIGHT = 100;

interface ChartBuckets {
  /** Epoch seconds; one per value. */
  starts: readonly number[];
  bucket: number;
  gaps: readonly boolean[];
}

export function lineChart(frame: ChartFrame, buckets: ChartBuckets, lines: readonly ChartLine[]): Markup {
  const scale = scales(frame, lines);
  const { x, y } = scale;
  // A value is drawn at the middle of its bucket.
  const middle = (index: number) => x(Math.min((buckets.starts[index] ?? 0) + buckets.bucket / 2, frame.to));
  const drawn = lines.map((line) => {
    const pieces = runs(line.values);
    const paths = pieces.map((run) => {
      const points = run.map(({ index, value }) => `${middle(index).toFixed(1)} ${y(value).toFixed(2)}`);
      // A line of one point would be invisible.
      const only = run.length === 1 ? `M${points[0]}h3` : `M${points.join('L')}`;
      const first = run[0]?.index ?? 0;
      const last = run.at(-1)?.index ?? 0;
      const area = line.area
        ? markup`<path class="area ${line.style}" d="M${middle(first)} ${HEIGHT}L${points.join('L')}L${middle(last)} ${HEIGHT}z"/>`
        : null;
      return markup`${area}<path class="line ${line.style}" d="${only}"/>`;
    });
    return markup`${paths}`;
  });
  return figure(frame, scale, markup`${gapBands(frame, scale, buckets)}${drawn}`, [
    ...lines.map(({ name, style }) => ({ name, style, kind: 'line' as const })),
    ...gapLegend(buckets),
  ]);
}

export function barChart(frame: ChartFrame, buckets: ChartBuckets, bars: readonly ChartBar[]): Markup {
  const scale = scales(frame, bars);
  const { x, y } = scale;
  const drawn = bars.map((bar) =>
    bar.values.map((value, index) => {
      const start = buckets.starts[index] ?? 0;
      if (!value) return null;
      const left = x(start);
      const width = Math.max(x(Math.min(start + buckets.bucket, frame.to)) - left - 1, 1.5);
      return markup`<rect class="fill ${bar.style}" x="${left.toFixed(1)}" width="${width.toFixed(1)}" y="${y(value).toFixed(2)}" height="${(HEIGHT - y(value)).toFixed(2)}"/>`;
    }),
  );
  return figure(frame, scale, markup`${gapBands(frame, scale, buckets)}${drawn}`, [
    ...bars.map(({ name, style }) => ({ name, style, kind: 'box' as const })),
    ...gapLegend(buckets),
  ]);
}

interface ChartScale {
  ticks: readonly number[];
  x: (at: number) => number;
  y: (value: number) => number;
}

interface LegendEntry {
  name: string;
  style: string;
  kind: 'line' | 'box';
}

const gapLegend = ({ gaps }: ChartBuckets): LegendEntry[] =>
  gaps.some(Boolean) ? [{ name: 'not recorded', style: 'gap', kind: 'box' }] : [];

function scales(frame: ChartFrame, series: readonly { values: readonly (number | null)[] }[]): ChartScale {
  const highest = Math.max(
    frame.atLeast ?? 0,
    ...series.flatMap(({ values }) => values.map((value) => value ?? 0)),
  );
  // A target far above all values would flatten the lines: then only the legend shows it.
  const target = frame.target && frame.target.value <= highest * 4 ? frame.target.value : 0;
  const ticks = niceTicks(Math.max(highest, target));
  const top = ticks.at(-1) ?? 1;
  return {
    ticks,
    x: (at: number) => ((at - frame.from) / (frame.to - frame.from)) * WIDTH,
    y: (value: number) => HEIGHT - (value / top) * HEIGHT,
  };
}

/** Runs of values without a gap. */
function runs(values: readonly (number | null)[]): { index: number; value: number }[][] {
  const found: { index: number; value: number }[][] = [[]];
  for (const [index, value] of values.entries()) {
    if (value === null) found.push([]);
    else found.at(-1)?.push({ index, value });
  }
  return found.filter((run) => run.length > 0);
}

function gapBands(frame: ChartFrame, { x }: ChartScale, { starts, bucket, gaps }: ChartBuckets): Markup {
  const bands = runs(gaps.map((gap) => (gap ? 1 : null))).map((run) => {
    const left = x(starts[run[0]?.index ?? 0] ?? frame.from);
    const right = x(Math.min((starts[run.at(-1)?.index ?? 0] ?? frame.from) + bucket, frame.to));
    return markup`<rect class="gapband" x="${left.toFixed(1)}" width="${(right - left).toFixed(1)}" y="0" height="${HEIGHT}"/>`;
  });
  return markup`${bands}`;
}

function figure(
  frame: ChartFrame,
  { ticks, y }: ChartScale,
  body: Markup,
  legend: readonly LegendEntry[],
): Markup {
  const { from, to, target, format = amount } = frame;
  const across = (at: number) => (((at - from) / (to - from)) * 100).toFixed(2);
  const inside = target && y(target.value) >= -0.01;
  return markup`<figure class="chart">
<figcaption><strong>${frame.title}</strong> <span class="unit">${frame.axis}</span>
${frame.legend === false ? null : legendOf(legend, target && `${target.label}${inside ? '' : ' (above this scale)'}`)}</figcaption>
<div class="plot" style="height:${frame.height}px">
<div class="ys">${ticks.map((tick) => markup`<span style="top:${y(tick).toFixed(2)}%">${format(tick)}</span>`)}</div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${frame.title}, ${frame.axis}">
${ticks.map((tick) => markup`<path class="grid" d="M0 ${y(tick).toFixed(2)}H${WIDTH}"/>`)}${body}${inside && target && markup`<path class="line target" d="M0 ${y(target.value).toFixed(2)}H${WIDTH}"/>`}</svg>
<div class="xs">${timeTicks(from, to).map(({ at, label, minor }) => markup`<span${minor && markup` class="minor"`} style="left:${across(at)}%">${label}</span>`)}</div>
</div></figure>`;
}

function legendOf(entries: readonly LegendEntry[], target: string | undefined): Markup {
  const key = (drawing: Markup, name: string) =>
    markup`<span><svg class="key" viewBox="0 0 24 10" aria-hidden="true">${drawing}</svg>${name}</span>`;
  const line = (style: string) => markup`<path class="line ${style}" d="M0 5h24"/>`;
  return markup`<span class="legend">${entries.map(({ name, style, kind }) =>
    key(kind === 'line' ? line(style) : markup`<rect class="fill ${style}" width="24" height="10"/>`, name),
  )}${target && key(line('target'), target)}</span>`;
}
