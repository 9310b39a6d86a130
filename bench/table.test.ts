import { expect, test } from 'vitest';
import { barChart } from './chart.ts';
import { baselineRounds, goalText, spreadText, tableOf } from './table.ts';
import { parseWrk } from './wrk.ts';

const table = tableOf('Throughput <GET>', 'requests/s', [
  { what: 'nginx', rounds: [100, 200, 400] },
  { what: 'acgs-lb', rounds: [90, 160, 380] },
]);

test('ratios are medians of the ratios of each round, not ratios of medians', () => {
  expect(table.rows[1]).toMatchObject({ value: 160, ratio: 0.9 });
});

test('the spread is the lowest and the highest ratio of a round', () => {
  const spreads = table.rows.map((row) => spreadText(row, baselineRounds(table)));
  expect(spreads).toEqual(['', '0.80–0.95']);
});

test('a baseline of zero gives the ratio 1 instead of infinity', () => {
  const zero = tableOf('added p50', 'ms', [
    { what: 'nginx', rounds: [0] },
    { what: 'acgs-lb', rounds: [2] },
  ]);
  expect(zero.rows.map(({ ratio }) => ratio)).toEqual([1, 1]);
});

test('a goal says the figure and whether it is reached', () => {
  expect(goalText({ what: 'acgs-lb', atLeast: 0.85 }, table.rows)).toBe('goal: acgs-lb ≥ 0.85: 0.9, reached');
  expect(goalText({ what: 'acgs-lb', atMost: 0.8 }, table.rows)).toBe('goal: acgs-lb ≤ 0.8: 0.9, missed');
  expect(goalText({ what: 'acgs-lb', figure: 'value', atMost: 160 }, table.rows)).toContain('160, reached');
  expect(goalText({ what: 'absent', atLeast: 0.5 }, table.rows)).toContain('missed');
});

test('the chart is one SVG with a bar for each row, its own background and a dark theme', () => {
  const svg = barChart('A "chart"', [table]);
  expect(svg.match(/<rect class="(ours|other)"/g)).toHaveLength(2);
  expect(svg).toContain('class="back"');
  expect(svg).toContain('prefers-color-scheme: dark');
  expect(svg).toContain('Throughput &lt;GET&gt;');
});

test('the output of wrk: units, failures, and successes per second', () => {
  const text = `Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.21ms    1.00ms  15.21ms   91.12%
    Req/Sec    29.01k     2.00k   31.00k    70.00%
  Latency Distribution
     50%  910.00us
     75%    2.40ms
     90%    3.00ms
     99%    1.25s
  20000 requests in 2.00s, 3.00MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5000
Requests/sec:  10000.00
Transfer/sec:      1.50MB
`;
  expect(parseWrk(text)).toEqual({
    requests: 20_000,
    perSecond: 10_000,
    succeededPerSecond: 7_500,
    p50: 0.91,
    p99: 1_250,
    failed: 5_010,
  });
});
