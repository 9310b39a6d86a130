import { chartSummary } from '../chart-specs.js';
import { h } from '../dom.js';
import { msText, numberText, percentText, plotTimeText, whenText } from '../format.js';
import uPlot from '../vendor/uplot.js';

/** @import { Charts, ChartSpec, Line } from '../chart-specs.js' */
/** @import { Mark } from '../markers.js' */
/**
 * @typedef {object} Plot
 * @property {string} shape the lines it was made for; with other lines it is made again
 * @property {HTMLElement} element
 * @property {uPlot} chart
 * @property {(HTMLElement)[]} values of the legend
 * @property {ChartSpec} spec
 */
/** @typedef {{ onZoom: (from: number, to: number) => void }} PlotOptions */

const HEIGHT = 168;
const DAY_MS = 86_400_000;
/** A drag shorter than this is a click. */
const MIN_DRAG_PX = 8;

/** @param {ChartSpec['unit']} unit @returns {(value: number | null | undefined) => string} */
export function formatterOf(unit) {
  if (unit === 'ms') return msText;
  if (unit === '%') return percentText;
  return (value) => `${numberText(value)}${value === null || value === undefined ? '' : unit}`;
}

/**
 * A group of charts with one time axis. `update` keeps the charts whose lines are the same; at most one chart of each kind
 * exists, however long the page stays open.
 * @param {HTMLElement} container @param {PlotOptions} options
 */
export function createPlots(container, options) {
  /** @type {Map<string, Plot>} */
  const plots = new Map();
  /** @type {readonly Mark[]} */
  let marks = [];
  let range = { from: 0, to: 1 };

  /** @param {string} id */
  function remove(id) {
    const plot = plots.get(id);
    observer.unobserve(plot?.element ?? container);
    plot?.chart.destroy();
    plot?.element.remove();
    plots.delete(id);
  }
  const context = { options, marks: () => marks, range: () => range };
  const observer = new ResizeObserver(() => {
    for (const { element, chart } of plots.values()) {
      const width = widthOf(element);
      if (width > 0 && width !== chart.width) chart.setSize({ width, height: HEIGHT });
    }
  });

  return {
    /** @param {Charts} charts @param {readonly Mark[]} newMarks */
    update({ from, to, times, charts }, newMarks) {
      marks = newMarks;
      range = { from, to };
      const wanted = new Set(charts.map(({ id }) => id));
      for (const id of [...plots.keys()]) if (!wanted.has(id)) remove(id);
      for (const spec of charts) {
        const shape = [spec.title, ...spec.lines.map(({ label }) => label)].join('|');
        if (plots.get(spec.id)?.shape !== shape) remove(spec.id);
        const plot = plots.get(spec.id) ?? createPlot(container, spec, shape, context);
        if (!plots.has(spec.id)) observer.observe(plot.element);
        plots.set(spec.id, plot);
        plot.spec = spec;
        plot.chart.setData([times, ...spec.lines.map(({ values }) => values)], true);
        plot.element
          .querySelector('.plot-area')
          ?.setAttribute('aria-label', chartSummary(spec, formatterOf(spec.unit)));
        showValues(plot);
      }
    },
    /** Colors come from the style sheet and may have changed. */
    redraw() {
      for (const { chart } of plots.values()) chart.redraw(false);
    },
    clear() {
      for (const id of [...plots.keys()]) remove(id);
    },
  };
}

/** @param {HTMLElement} element */
const widthOf = (element) => Math.floor(element.querySelector('.plot-area')?.clientWidth ?? 0);

/** @typedef {{ options: PlotOptions, marks: () => readonly Mark[], range: () => { from: number, to: number } }} PlotContext */

/** @param {HTMLElement} container @param {ChartSpec} spec @param {string} shape @param {PlotContext} context @returns {Plot} */
function createPlot(container, spec, shape, context) {
  const values = spec.lines.map(() => h('span', { class: 'plot-value' }));
  const when = h('span', { class: 'plot-when muted' });
  const area = h('div', { class: 'plot-area', role: 'img', tabindex: 0 });
  const element = h(
    'div',
    { class: 'plot' },
    h('h3', {}, spec.title, spec.unit && h('small', {}, spec.unit === '/s' ? 'per second' : spec.unit), when),
    h(
      'p',
      { class: 'plot-legend' },
      spec.lines.map(({ label, tone, dashed }, index) =>
        h(
          'span',
          {},
          h('span', { class: `swatch ${tone}${dashed ? ' dashed' : ''}` }),
          `${label} `,
          values[index],
        ),
      ),
    ),
    area,
  );
  container.append(element);
  /** @type {Plot} */
  const plot = { shape, element, values, spec, chart: makeChart(spec, element, area, context) };
  plot.chart.hooks.setCursor = [
    () => {
      showValues(plot);
      const at = plot.chart.data[0][plot.chart.cursor.idx ?? -1];
      when.textContent = at === undefined ? '' : whenText(at);
    },
  ];
  area.addEventListener('keydown', (event) => moveCursor(event, plot.chart));
  area.addEventListener('blur', () => plot.chart.setCursor({ left: -10, top: -10 }));
  return plot;
}

/** @param {ChartSpec} spec @param {HTMLElement} element @param {HTMLElement} area @param {PlotContext} context */
function makeChart(spec, element, area, context) {
  const swatches = [...element.querySelectorAll('.swatch')];
  const color = (/** @type {number} */ index) => getComputedStyle(swatches[index] ?? element).color;
  const axis = { stroke: () => getComputedStyle(area).color, ...GRID };
  const format = axisFormatter(spec.unit);
  return new uPlot(
    {
      width: Math.max(1, widthOf(element)),
      height: HEIGHT,
      ms: 1,
      legend: { show: false },
      // The label of a time at the right end needs room for its half.
      padding: [8, 22, 0, 0],
      cursor: { sync: { key: 'acgs' }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: {
        x: { range: () => [context.range().from, context.range().to] },
        y: { range: (_, __, max) => [0, Math.max(spec.minTop, (max ?? 0) * 1.08)] },
      },
      axes: [
        {
          ...axis,
          size: 26,
          space: 64,
          values: (_, splits) => timeTexts(splits),
        },
        { ...axis, size: 52, values: (_, splits) => splits.map(format) },
      ],
      series: [{}, ...spec.lines.map((line, index) => seriesOf(line, () => color(index)))],
      hooks: {
        draw: [(chart) => drawMarks(chart, context.marks(), element)],
        setSelect: [(chart) => zoom(chart, context.options)],
      },
    },
    [[], ...spec.lines.map(() => [])],
    area,
  );
}

/** @param {number[]} splits */
function timeTexts(splits) {
  const [first = 0, second = first] = splits;
  return splits.map((at) => plotTimeText(at, second - first >= DAY_MS));
}

const GRID = {
  font: '11px system-ui, sans-serif',
  grid: { stroke: 'rgba(128, 140, 155, 0.18)', width: 1 },
  ticks: { show: false },
};

/** @param {Line} line @param {() => string} color @returns {uPlot.Series} */
function seriesOf({ filled, dashed }, color) {
  return {
    stroke: color,
    width: 1.5,
    spanGaps: false,
    points: { show: (chart, index) => isAlone(chart, index), size: 4 },
    ...(filled ? { fill: () => color().replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)') } : {}),
    ...(dashed ? { dash: [5, 4] } : {}),
  };
}

/** Points are drawn only when there are too few to make a line. @param {uPlot} chart @param {number} index */
function isAlone(chart, index) {
  return (chart.data[index] ?? []).filter((value) => value !== null).length <= 2;
}

/** @param {ChartSpec['unit']} unit */
function axisFormatter(unit) {
  const suffix = unit === '%' ? ' %' : unit === 'ms' ? ' ms' : '';
  return (/** @type {number} */ value) => {
    if (unit === 'ms' && value >= 1_000) return `${value / 1_000} s`;
    return `${value >= 10_000 ? `${value / 1_000}k` : value.toLocaleString('en-GB')}${suffix}`;
  };
}

/** A line through each event. @param {uPlot} chart @param {readonly Mark[]} marks @param {HTMLElement} element */
function drawMarks(chart, marks, element) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.setLineDash([3, 3]);
  ctx.lineWidth = devicePixelRatio;
  for (const { at, tone } of marks) {
    const x = Math.round(chart.valToPos(at, 'x', true));
    ctx.strokeStyle = getComputedStyle(element).getPropertyValue(`--mark-${tone}`) || 'gray';
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** @param {uPlot} chart @param {PlotOptions} options */
function zoom(chart, { onZoom }) {
  const { left, width } = chart.select;
  if (width < MIN_DRAG_PX) return;
  const from = chart.posToVal(left, 'x');
  const to = chart.posToVal(left + width, 'x');
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(Math.round(from), Math.round(to));
}

/** The values under the cursor, or the last ones. @param {Plot} plot */
function showValues({ chart, spec, values }) {
  const format = formatterOf(spec.unit);
  const index = chart.cursor.idx;
  for (const [line, element] of values.entries()) {
    const column = spec.lines[line]?.values ?? [];
    const value =
      index === null || index === undefined ? column.findLast((each) => each !== null) : column[index];
    const text = format(value);
    if (element.textContent !== text) element.textContent = text;
  }
}

const STEPS = /** @type {Record<string, number>} */ ({
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -10,
  PageDown: 10,
});

/** Moves the cursor by keyboard. @param {KeyboardEvent} event @param {uPlot} chart */
function moveCursor(event, chart) {
  const step = STEPS[event.key];
  const times = chart.data[0];
  if (step === undefined || times.length === 0) return;
  event.preventDefault();
  const index = Math.max(0, Math.min(times.length - 1, (chart.cursor.idx ?? times.length) + step));
  chart.setCursor({ left: chart.valToPos(times[index] ?? 0, 'x'), top: 10 });
}
