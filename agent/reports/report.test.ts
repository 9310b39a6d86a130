import { expect, test } from 'vitest';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { formatReport } from '../cli/report-text.ts';
import type { Terminal } from '../cli/terminal.ts';
import { emptyRollup, type Rollup } from '../history/rollups/rollup.ts';
import { buildReport, type ReportInput } from './build.ts';
import { reportCsv } from './csv.ts';
import { milliseconds, percent } from './format.ts';
import { niceTicks, timeTicks } from './html/axes.ts';
import { reportPage } from './html/page.ts';
import { findIncidents, type StateEvent } from './incidents.ts';
import { verdict } from './verdict.ts';

const plain: Terminal = {
  write() {},
  error() {},
  progressLine() {},
  showsProgress: false,
  rows: 24,
  interactive: false,
  columns: 100,
  paint: (_, text) => text,
};
const HOUR = 3_600;
const FROM = Date.UTC(2026, 0, 5) / 1000;

const hour = (index: number, instance: string, change: Partial<Rollup> = {}): Rollup => {
  const latency = emptySketch();
  addToSketch(latency, 100, 99);
  addToSketch(latency, 900, 1);
  return {
    ...emptyRollup(FROM + index * HOUR, 'gs', instance),
    rows: 360,
    requests: 100,
    failures: 1,
    samples: 100,
    upSamples: 100,
    ...(instance && { latency }),
    ...change,
  };
};

const input = (change: Partial<ReportInput> = {}): ReportInput => ({
  site: 'main',
  from: FROM,
  to: FROM + 4 * HOUR,
  generatedAt: FROM + 4 * HOUR,
  bucket: HOUR,
  targets: { availability: 0.999, p95Ms: 500, errorRate: 0.02 },
  // The third hour is missing.
  rollups: [0, 1, 3].flatMap((index) => [hour(index, ''), hour(index, 'gs-1')]),
  unit: HOUR,
  known: ['', 'gs-1'].map((instance) => ({ service: 'gs', instance, known: 3, sampled: 3 })),
  events: [],
  breakers: [],
  alerts: [],
  adoptedUntil: null,
  ...change,
});

test('sums the hours and shows a gap as a gap', () => {
  const report = buildReport(input());
  const [gs] = report.services;
  expect(gs).toMatchObject({ requests: 300, failures: 3, errorRate: 0.01, coverage: 0.75 });
  expect(gs?.latency).toMatchObject({ basis: 'requests', max: 900 });
  expect(gs?.latency?.p95).toBeCloseTo(100, -1);
  expect(gs?.series.map(({ gap, p50 }) => gap || p50 === null)).toEqual([false, false, true, false]);
  expect(report.notes.join()).toContain('75 %');
  expect(verdict(report)).toBe('The service met every target.');
});

test('a service shows what its clients saw, an instance its attempts', () => {
  const latency = emptySketch();
  addToSketch(latency, 40, 500);
  const client = { requests: 500, failed: 5, retries: 7, hedges: 3, limited: 20, latency };
  const service = hour(0, '', { attempts: 490, requests: 490, failures: 12, client });
  const report = buildReport(input({ rollups: [service, hour(0, 'gs-1')] }));
  expect(report.services[0]).toMatchObject({
    requests: 500,
    failures: 5,
    errorRate: 0.01,
    attempts: 490,
    retries: 7,
    hedges: 3,
    limited: 20,
    latency: { max: 40 },
    availability: { basis: 'requests', ratio: 0.99, used: 5 },
  });
  expect(report.total).toMatchObject({ requests: 500, failures: 5, availability: { basis: 'requests' } });
  expect(report.instances[0]).toMatchObject({ requests: 100, failures: 1, availability: { basis: 'time' } });
});

test('attempts without requests count only before the first record of requests', () => {
  const client = { requests: 500, failed: 5, retries: 0, hedges: 0, limited: 0, latency: null };
  const rollups = [hour(0, ''), hour(1, '', { client }), hour(2, ''), hour(3, '')];
  const [gs] = buildReport(input({ rollups })).services;
  expect(gs).toMatchObject({ requests: 600, failures: 6 });
});

test('counts the error budget in time where uptime was sampled and requests were not', () => {
  const down = [hour(0, '', { upSamples: 90 }), hour(0, 'gs-1')];
  const report = buildReport(input({ rollups: [...input().rollups.slice(2), ...down] }));
  const availability = report.services[0]?.availability;
  // Three observed hours allow 0.18 minutes; a tenth of one of them is 6.
  expect(availability).toMatchObject({ basis: 'time' });
  expect(availability?.allowed).toBeCloseTo(0.18);
  expect(availability?.used).toBeCloseTo(6);
  expect(verdict(report)).toContain('availability by gs');
});

test('notes percentiles of means and availability by attempts', () => {
  const means = emptySketch();
  addToSketch(means, 50, 100);
  const bare = { samples: 0, upSamples: 0, latency: null, means };
  const report = buildReport(input({ rollups: [hour(0, '', bare), hour(0, 'gs-1', bare)] }));
  expect(report.services[0]).toMatchObject({
    latency: { basis: 'means' },
    availability: { basis: 'attempts', used: 1 },
  });
  expect(report.notes).toHaveLength(3);
});

test('the page fetches nothing and runs nothing, even with hostile names', () => {
  const nasty = '<script>alert(1)</script>';
  const page = reportPage(
    buildReport(
      input({ site: nasty, breakers: [{ service: 'gs', instance: nasty, at: FROM, reason: nasty }] }),
    ),
  );
  expect(page).not.toContain('<script');
  expect(page).not.toMatch(/(?:src|href)=|url\(|@import/);
  expect(page).toContain('class="gapband"');
});

test('shows no NaN, whatever data is missing', () => {
  const nothing = { rows: 0, requests: 0, failures: 0, samples: 0, upSamples: 0, latency: null };
  const cases: Partial<ReportInput>[] = [
    { rollups: [], known: [] },
    { rollups: [hour(0, '', nothing), hour(0, 'gs-1', nothing)] },
    // Samples, but no requests.
    {
      rollups: [
        hour(0, '', { requests: 0, failures: 0 }),
        hour(0, 'gs-1', { requests: 0, failures: 0, latency: null }),
      ],
    },
    // One failed request in a period of one second.
    { rollups: [hour(0, '', { requests: 1, failures: 1, samples: 1, upSamples: 0 })], to: FROM + 1 },
    { targets: { availability: 1, p95Ms: 500, errorRate: 0 } },
    { events: [{ service: 'gs', instance: 'gs-1', at: FROM + 1, what: 'down', reason: '' }] },
    { bucket: 24 * HOUR, to: FROM + 400 * 24 * HOUR },
  ];
  for (const change of cases) {
    const report = buildReport(input(change));
    for (const text of [
      reportPage(report),
      reportCsv(report),
      formatReport(report, plain),
      verdict(report),
    ]) {
      expect(text).not.toMatch(/NaN|Infinity|undefined|null|∞/);
    }
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ site: 'main' });
  }
});

test('neutralizes formulas in CSV, but not numbers', () => {
  const rollups = ['=1+2', '+1', '-1', '@a', '\t=1', 'a"b,c'].map((service) => ({
    ...hour(0, ''),
    service,
  }));
  const lines = reportCsv(buildReport(input({ rollups, known: [] }))).split('\r\n');
  const names = new Set(
    lines.slice(1, -1).map((line) => line.slice(0, line.indexOf(',2026')).replace(/,total.*/, '')),
  );
  expect([...names].sort()).toEqual([`"a""b,c"`, "'\t=1", "'+1", "'-1", "'=1+2", "'@a"].sort());
});

test('leaves unknown values empty in CSV', () => {
  const lines = reportCsv(buildReport(input())).trimEnd().split('\r\n');
  expect(lines).toHaveLength(6);
  expect(lines[3]).toBe('gs,2026-01-05T02:00:00.000Z,,,,,,,,');
});

const event = (instance: string, at: number, what: StateEvent['what'], reason = 'refused'): StateEvent => ({
  service: 'gs',
  instance,
  at,
  what,
  reason,
});
const both = new Map([['gs', new Set(['gs-1', 'gs-2'])]]);
const found = (events: StateEvent[], members = both) =>
  findIncidents(events, members, { from: 0, to: 100 })
    .toReversed()
    .map(({ kind, instance, start, end, seconds }) => `${instance ?? ''} ${kind} ${start}-${end} ${seconds}`);

test('an outage lasts while no instance is left', () => {
  expect(
    found([
      event('gs-1', 10, 'down'),
      event('gs-2', 20, 'down'),
      event('gs-1', 50, 'serving'),
      event('gs-2', 60, 'serving'),
    ]),
  ).toEqual(['gs-1 down 10-50 40', ' outage 20-50 30', 'gs-2 down 20-60 40']);
});

test('counts only the part of an incident inside the period', () => {
  expect(
    found([
      event('gs-1', -90, 'down'),
      event('gs-1', -80, 'serving'),
      event('gs-1', -50, 'down'),
      event('gs-1', 5, 'serving'),
      event('gs-1', 90, 'down'),
    ]),
  ).toEqual(['gs-1 down -50-5 5', 'gs-1 down 90-null 10']);
});

test('separates maintenance from failures before and after it', () => {
  expect(
    found([
      event('gs-1', 10, 'maint'),
      event('gs-1', 10, 'down'),
      event('gs-1', 20, 'ready'),
      event('gs-1', 30, 'serving'),
      event('gs-1', 40, 'down'),
      event('gs-1', 50, 'maint'),
      event('gs-1', 60, 'ready'),
      event('gs-1', 60, 'serving'),
    ]),
  ).toEqual([
    'gs-1 maintenance 10-20 10',
    'gs-1 down 20-30 10',
    'gs-1 down 40-50 10',
    'gs-1 maintenance 50-60 10',
  ]);
});

test('a deregistered instance ends its incidents and keeps no service alive', () => {
  expect(
    found([
      event('gs-2', 10, 'gone'),
      event('gs-1', 20, 'down'),
      event('gs-1', 30, 'serving'),
      event('gs-1', 40, 'down'),
      event('gs-1', 50, 'gone'),
      event('gs-3', 60, 'registered'),
      event('gs-3', 70, 'serving'),
    ]),
  ).toEqual([' outage 20-30 10', 'gs-1 down 20-30 10', ' outage 40-50 10', 'gs-1 down 40-50 10']);
});

test('never rounds a missed target up to a met one', () => {
  expect(percent(0.99899)).toBe('99.89 %');
  expect(percent(0.999999, 3)).toBe('99.999 %');
  expect(percent(1)).toBe('100.00 %');
});

test('shows a latency below the resolution of HAProxy as zero', () => {
  expect(milliseconds(0.00995)).toBe('0');
  expect(milliseconds(0.99)).toBe('0.99');
  expect(milliseconds(null)).toBe('–');
});

test('have axes with few round steps', () => {
  expect(niceTicks(730)).toEqual([0, 200, 400, 600, 800]);
  expect(niceTicks(0)).toEqual([0, 1]);
  expect(timeTicks(FROM, FROM + 7 * 86_400).map(({ label }) => label)).toContain('6 Jan');
  expect(timeTicks(FROM, FROM + 30 * 86_400).length).toBeLessThanOrEqual(8);
});
