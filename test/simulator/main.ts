import { FAULTS, type FaultResult, runFault } from './faults.ts';
import { quantile, type SimulationOptions, type Tally } from './simulation.ts';
import * as weather from './weather.ts';

/** Prints docs/simulator.md: every scenario as a row of a Markdown table. */

const INSTANCES = [2, 3, 10, 100];
const ISOLATES: readonly [number, number][] = [
  [1, 0],
  [200, 10_000],
  [10_000, 60_000],
];

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const row = (cells: readonly (string | number)[]): void => print(`| ${cells.join(' | ')} |`);
function head(cells: readonly string[]): void {
  print('');
  row(cells);
  row(cells.map((_, index) => (index === 0 ? '---' : '---:')));
}
const seconds = (ms: number | null): string => (ms === null ? '–' : (ms / 1_000).toFixed(1));
const percent = (part: number, of: number): string => `${((100 * part) / Math.max(1, of)).toFixed(2)} %`;
const requestsOf = ({ gets, posts }: Tally): number => gets + posts;

const FAULT_HEAD = [
  'fault',
  'GETs',
  'failed',
  'over 500 ms',
  'POSTs',
  'failed',
  'stuck',
  'copies',
  'out after, s',
  'floor after, s',
];

function faultRow(name: string, { tally, outAfter, floorAfter }: FaultResult): void {
  const { gets, getsFailed, getsSlow, posts, postsFailed, postsStuck, hedges } = tally;
  const times = [seconds(outAfter), seconds(floorAfter)];
  row([name, gets, getsFailed, getsSlow, posts, postsFailed, postsStuck, hedges, ...times]);
}

function faults(title: string, options: SimulationOptions): void {
  print(`\n### ${title}`);
  head(FAULT_HEAD);
  for (const fault of Object.values(FAULTS)) faultRow(fault.name, runFault(fault, options));
}

function hangs(): void {
  const results = Array.from({ length: 20 }, (_, seed) => runFault(FAULTS.hung, { seed: 100 + seed }));
  const out = results.map(({ outAfter }) => outAfter ?? Number.POSITIVE_INFINITY);
  print(
    `\nOf 20 hangs under traffic (3 instances): down after ${seconds(quantile(out, 0.5))} s (median), ` +
      `${seconds(quantile(out, 0.99))} s (p99); at most ${Math.max(...results.map(({ tally }) => tally.postsStuck))} ` +
      'POSTs stuck.',
  );
}

function weatherRow(one: Parameters<typeof weather.runWeather>[0]): void {
  const { name, tally, wronged, mostOut, p999 } = weather.runWeather(one);
  const { gets, getsFailed, getsSlow, postsFailed, hedges } = tally;
  const copies = percent(hedges, requestsOf(tally));
  row([name, gets, getsFailed, getsSlow, postsFailed, copies, wronged.length, mostOut, p999.toFixed(0)]);
}

function shortestQueue(): void {
  print('\n## Uneven replicas against a true shortest queue\n');
  print('The shortest queue knows every request at every instance. No gateway knows that.');
  head(['scenario', 'acgs-lb: p99.9, ms', 'shortest queue: p99.9, ms']);
  for (const one of [weather.halfSpeed, weather.pausing]) {
    const best = { balance: 'shortest', outlier: 'off', path: 'gateway-only' } as const;
    const ours = weather.runWeather(one).p999;
    const theirs = weather.runWeather({ ...one, options: { ...one.options, ...best } }).p999;
    row([one.name, ours.toFixed(0), theirs.toFixed(0)]);
  }
}

print('# Simulator');
print('\n<!-- Written by `node test/simulator/main.ts > docs/simulator.md`. Do not edit. -->\n');
print(
  'The judge, outlier comparison, picks, hedges and budgets of the product run under a virtual clock\nwith a model of HAProxy and of the instances. One instance has the fault for 15 s; requests arrive\nat random (Poisson), 50 a second for each instance (20 of 100 instances), 30 % of them POST; a\nrequest takes 5 ms. Clients give up after 10 s. `stuck`: a POST that took more than 5 s. `floor`:\nits share of the traffic is 5 % or none.',
);
print('\n## One faulty instance');
for (const instances of INSTANCES) {
  faults(`${instances} instances`, { instances, rate: instances * (instances === 100 ? 20 : 50) });
}
hangs();
for (const [isolates, snapshotAgeMs] of ISOLATES.slice(1)) {
  faults(`3 instances, ${isolates} isolates, snapshots up to ${snapshotAgeMs / 1_000} s old`, {
    isolates,
    snapshotAgeMs,
  });
}
faults('3 instances, clients past the edge: no copies, no retries by the edge', { path: 'gateway-only' });
for (const [isolates] of ISOLATES) {
  faults(`3 instances, the edge picks and HAProxy is not used, isolates: ${isolates}`, {
    path: 'direct',
    isolates,
  });
}
print('\n## Everything else');
head([
  'scenario',
  'GETs',
  'failed',
  'over 500 ms',
  'POSTs failed',
  'copies',
  'verdicts',
  'most out',
  'p99.9, ms',
]);
for (const one of [
  ...weather.NOISE,
  weather.backgroundErrors,
  weather.correlatedSlowness,
  weather.loadStep,
  weather.overload,
  weather.full,
  weather.flapping,
  weather.badDeploy(2),
  weather.badDeploy(4),
  weather.badDeploy(10),
  weather.coldStart,
  weather.restart,
  weather.clockBack,
  weather.logLost,
  weather.countersReset,
]) {
  weatherRow(one);
}
shortestQueue();
