import { expect, test } from 'vitest';
import { chartSummary, historyCharts, liveCharts } from './chart-specs.js';
import { peerFigures } from './peers.js';
import type { HistoryAnswer, StatusInstance } from './types.d.ts';

const answer = (more: Partial<HistoryAnswer>): HistoryAnswer => ({
  of: 'requests',
  from: 0,
  to: 180_000,
  stepSeconds: 60,
  times: [0, 60_000, 120_000],
  series: {},
  peers: null,
  ...more,
});

test('counts become rates, gaps stay gaps, and a chart without data is left out', () => {
  const { charts, from, to } = historyCharts(
    answer({ series: { requests: [60, null, 0], p95Ms: [null, null, null], errorPercent: [0, null, 5] } }),
  );
  expect([from, to]).toEqual([0, 180_000]);
  expect(charts.map(({ id }) => id)).toEqual(['rate', 'errors']);
  expect(charts[0]?.lines.map(({ label, values }) => [label, values])).toEqual([['requests', [1, null, 0]]]);
});

test('an incomplete last step shows no false drop', () => {
  const { charts } = historyCharts(answer({ to: 135_000, series: { requests: [60, 60, 15] } }));
  expect(charts[0]?.lines[0]?.values).toEqual([1, 1, 1]);
});

test('an instance is compared with its peers, and probes as the share that failed', () => {
  const { charts } = historyCharts(
    answer({
      of: 'attempts',
      series: { p50Ms: [800, 800, null], probes: [6, 0, 6], probesFailed: [3, 0, 6] },
      peers: { count: 2, p50Ms: [5, 5, 5], p95Ms: [null, null, null], errorPercent: [0, 0, 0] },
    }),
  );
  const latency = charts.find(({ id }) => id === 'latency');
  expect(latency?.lines.map(({ label, dashed }) => [label, dashed ?? false])).toEqual([
    ['p50', false],
    ['peers’ p50', true],
  ]);
  expect(charts.find(({ id }) => id === 'judgement')?.lines[0]?.values).toEqual([50, null, 100]);
  expect(latency && chartSummary(latency, String)).toBe(
    'Latency against peers. p50: last 800, highest 800; peers’ p50: last 5, highest 5',
  );
});

test('the live charts end now, so that an event of this second is on the axis', () => {
  const history = { until: 300_000, perSecond: [1, 2], errorPercent: [null, 0], p95: [null, 9] };
  const { from, to, times } = liveCharts({ history }, 312_000);
  expect({ from, to, times }).toEqual({ from: 290_000, to: 312_000, times: [290_000, 295_000] });
});

test('peers are the other instances with traffic; their figure is the median', () => {
  const of = (id: string, p50: number | null) =>
    ({ id, traffic: { perSecond: 1, errorPercent: 0, p50, p95: p50, p99: p50 } }) as StatusInstance;
  const instances = [of('a', 800), of('b', 4), of('c', 6), of('d', 100), of('e', null)];
  expect(peerFigures(instances, 'a')).toMatchObject({ count: 3, p50: 6 });
  expect(peerFigures(instances.slice(0, 3), 'a')).toMatchObject({ count: 2, p50: 5 });
  expect(peerFigures(instances.slice(0, 1), 'a')).toMatchObject({ count: 0, p50: null });
});
