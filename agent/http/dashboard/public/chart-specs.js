// Which charts a page shows, and their columns. Pure; components/plot.js draws them.

/** @import { HistoryAnswer, StatusDocument } from './types.d.ts' */
/** @typedef {(number | null)[]} Column */
/** @typedef {'accent' | 'violet' | 'bad' | 'warn' | 'fine' | 'note'} Tone */
/** @typedef {{ label: string, tone: Tone, values: Column, dashed?: boolean, filled?: boolean }} Line */
/**
 * @typedef {object} ChartSpec
 * @property {string} id
 * @property {string} title
 * @property {'' | '/s' | 'ms' | '%'} unit
 * @property {number} minTop smallest top of the scale, so that noise near zero looks small
 * @property {Line[]} lines
 */
/** @typedef {{ from: number, to: number, times: number[], charts: ChartSpec[] }} Charts times in epoch milliseconds */
/** @typedef {HistoryAnswer['series']} Series */

/**
 * The last five minutes, from the status document. Figures lag by some seconds; the axis ends now, where events are.
 * @param {Pick<StatusDocument['total'], 'history'>} traffic @param {number} at @returns {Charts}
 */
export function liveCharts({ history }, at) {
  const stepMs = 5_000;
  const count = history.perSecond.length;
  const from = history.until - count * stepMs;
  return {
    from,
    to: Math.max(history.until, at),
    times: history.perSecond.map((_, index) => from + index * stepMs),
    charts: [
      chartOf('rate', 'Requests', { unit: '/s', minTop: 2 }, [
        { label: 'requests', tone: 'accent', filled: true, values: history.perSecond },
      ]),
      chartOf('errors', 'Failed requests', { unit: '%', minTop: 2 }, [
        { label: 'failed', tone: 'bad', filled: true, values: history.errorPercent },
      ]),
      chartOf('latency', 'Latency', { unit: 'ms', minTop: 50 }, [
        { label: 'p95', tone: 'violet', values: history.p95 },
      ]),
    ],
  };
}

/** The charts of a range that have data. @param {HistoryAnswer} answer @returns {Charts} */
export function historyCharts(answer) {
  const charts = answer.of === 'attempts' ? instanceCharts(answer) : requestCharts(answer);
  return {
    from: answer.from,
    to: Math.max(answer.to, (answer.times.at(-1) ?? 0) + answer.stepSeconds * 1_000),
    times: answer.times,
    charts: charts
      .map((spec) => ({ ...spec, lines: spec.lines.filter(({ values }) => hasData(values)) }))
      .filter(({ lines }) => lines.length > 0),
  };
}

/** @param {HistoryAnswer} answer */
function requestCharts(answer) {
  const { series } = answer;
  const rate = perSecond(answer);
  return [
    chartOf('rate', 'Requests', { unit: '/s', minTop: 2 }, [
      { label: 'requests', tone: 'accent', filled: true, values: rate('requests') },
      { label: 'rate-limited', tone: 'warn', values: rate('limited') },
    ]),
    chartOf('errors', 'Failed requests', { unit: '%', minTop: 2 }, [
      { label: 'failed', tone: 'bad', filled: true, values: series.errorPercent ?? [] },
    ]),
    latencyChart(series),
    statusChart(rate),
    chartOf('attempts', 'Attempts', { unit: '/s', minTop: 2 }, [
      { label: 'attempts', tone: 'accent', values: rate('attempts') },
      { label: 'retries', tone: 'bad', values: rate('retries') },
      { label: 'hedges', tone: 'violet', values: rate('hedges') },
    ]),
    loadChart(series),
    servingChart(series),
    sessionChart(series),
  ];
}

/** @param {HistoryAnswer} answer */
function instanceCharts(answer) {
  const { series, peers } = answer;
  const rate = perSecond(answer);
  return [
    chartOf('rate', 'Attempts', { unit: '/s', minTop: 2 }, [
      { label: 'attempts', tone: 'accent', filled: true, values: rate('attempts') },
    ]),
    chartOf('errors', 'Failed attempts', { unit: '%', minTop: 2 }, [
      { label: 'failed', tone: 'bad', filled: true, values: series.errorPercent ?? [] },
      { label: 'peers', tone: 'note', dashed: true, values: peers?.errorPercent ?? [] },
    ]),
    chartOf('latency', 'Latency against peers', { unit: 'ms', minTop: 20 }, [
      { label: 'p50', tone: 'accent', values: series.p50Ms ?? [] },
      { label: 'peers’ p50', tone: 'accent', dashed: true, values: peers?.p50Ms ?? [] },
      { label: 'p95', tone: 'violet', values: series.p95Ms ?? [] },
      { label: 'peers’ p95', tone: 'violet', dashed: true, values: peers?.p95Ms ?? [] },
    ]),
    chartOf('share', 'Share of the traffic', { unit: '%', minTop: 100 }, [
      { label: 'measured', tone: 'accent', filled: true, values: series.trafficPercent ?? [] },
    ]),
    chartOf('probes', 'Probes', { unit: 'ms', minTop: 10 }, [
      { label: 'duration', tone: 'fine', values: series.probeMs ?? [] },
    ]),
    chartOf('judgement', 'Failed probes, breaker, outlier', { unit: '%', minTop: 100 }, [
      { label: 'probes failed', tone: 'bad', values: percentOf(series.probesFailed, series.probes) },
      { label: 'breaker not closed', tone: 'warn', values: series.breakerOpenPercent ?? [] },
      { label: 'outlier', tone: 'violet', values: series.outlierPercent ?? [] },
    ]),
    statusChart(rate),
    loadChart(series),
    servingChart(series),
    sessionChart(series),
  ];
}

/**
 * @param {string} id @param {string} title @param {{ unit: ChartSpec['unit'], minTop: number }} scale @param {Line[]} lines
 * @returns {ChartSpec}
 */
const chartOf = (id, title, { unit, minTop }, lines) => ({ id, title, unit, minTop, lines });

/** @param {Series} series */
const latencyChart = ({ p50Ms = [], p95Ms = [], p99Ms = [] }) =>
  chartOf('latency', 'Latency', { unit: 'ms', minTop: 50 }, [
    { label: 'p50', tone: 'accent', values: p50Ms },
    { label: 'p95', tone: 'violet', values: p95Ms },
    { label: 'p99', tone: 'note', values: p99Ms },
  ]);

/** @param {(name: keyof Series) => Column} rate */
function statusChart(rate) {
  return chartOf('statuses', 'Status codes', { unit: '/s', minTop: 2 }, [
    { label: '2xx', tone: 'fine', values: rate('status2xx') },
    { label: '3xx', tone: 'accent', values: rate('status3xx') },
    { label: '4xx', tone: 'warn', values: rate('status4xx') },
    { label: '5xx', tone: 'bad', values: rate('status5xx') },
  ]);
}

/** @param {Series} series */
const loadChart = ({ concurrency = [], queuedMax = [] }) =>
  chartOf('load', 'Requests in flight', { unit: '', minTop: 4 }, [
    { label: 'in flight and queued', tone: 'accent', filled: true, values: concurrency },
    { label: 'most queued', tone: 'warn', values: queuedMax },
  ]);

/** @param {Series} series */
const servingChart = ({ servingPercent = [] }) =>
  chartOf('serving', 'Able to take traffic', { unit: '%', minTop: 100 }, [
    { label: 'share of the time', tone: 'fine', filled: true, values: servingPercent },
  ]);

/** @param {Series} series */
const sessionChart = ({ sessions = [] }) =>
  chartOf('sessions', 'Governance sessions', { unit: '', minTop: 4 }, [
    { label: 'active', tone: 'violet', filled: true, values: sessions },
  ]);

/**
 * Counts of a step as a rate. The last step may be incomplete.
 * @param {HistoryAnswer} answer @returns {(name: keyof Series) => Column}
 */
function perSecond({ series, stepSeconds, times, to }) {
  const secondsOf = (/** @type {number} */ index) =>
    Math.min(stepSeconds, Math.max(1, (to - (times[index] ?? 0)) / 1_000));
  return (name) =>
    (series[name] ?? []).map((value, index) => (value === null ? null : value / secondsOf(index)));
}

/** @param {Column} [part] @param {Column} [whole] */
const percentOf = (part = [], whole = []) =>
  part.map((value, index) => {
    const all = whole[index] ?? 0;
    return value === null || all === 0 ? null : (100 * value) / all;
  });

/** @param {Column} values */
const hasData = (values) => values.some((value) => value !== null);

/** The text of a chart for screen readers. @param {ChartSpec} spec @param {(value: number) => string} format */
export function chartSummary({ title, lines }, format) {
  const texts = lines.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    const last = known.at(-1);
    return last === undefined
      ? `${label}: no data`
      : `${label}: last ${format(last)}, highest ${format(Math.max(...known))}`;
  });
  return `${title}. ${texts.join('; ')}`;
}
