import { describe, expect, it } from 'vitest';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { emptyRollup, type Rollup } from '../rollups/rollup.ts';
import { buildReport, type ReportInput } from './build.ts';
import { reportCsv } from './csv.ts';
import { milliseconds, percent } from './format.ts';
import { niceTicks, timeTicks } from './html/axes.ts';
import { reportPage } from './html/page.ts';
import { findIncidents } from './incidents.ts';
import { verdict } from './verdict.ts';

const HOUR = 3_600;
const FROM = Date.UTC(2026, 0, 5) / 1000;

const hour = (index: number, instance: string, change: Partial<Rollup> = {}): Rollup => {
  const latency = emptySketch();
  addToSketch(latency, 100, 99);
  addToSketch(latency, 900, 1);
  return {
    ...emptyRollup(FROM + index * HOUR, 'gs', instance),
    ...{ rows: 360, requests: 100, failures: 1, samples: 100, upSamples: 100 },
    ...(instance && { latency }),
    ...change,
  };
};

const input = (change: Partial<ReportInput> = {}): ReportInput => ({
  ...{ site: 'main', from: FROM, to: FROM + 4 * HOUR, generatedAt: FROM + 4 * HOUR, bucket: HOUR },
  targets: { availability: 0.999, p95Ms: 500, errorRate: 0.02 },
  // The third hour is missing.
  rollups: [0, 1, 3].flatMap((index) => [hour(index, ''), hour(index, 'gs-1')]),
  hours: ['', 'gs-1'].map((instance) => ({ service: 'gs', instance, known: 3, sampled: 3 })),
  ...{ events: [], breakers: [], alerts: [], adoptedUntil: null },
  ...change,
});

describe('report', () => {
  it('says what was, and shows a gap as a gap', () => {
    const report = buildReport(input());
    const [gs] = report.services;
    expect(gs).toMatchObject({ requests: 300, failures: 3, errorRate: 0.01, coverage: 0.75 });
    expect(gs?.latency).toMatchObject({ basis: 'requests', max: 900 });
    expect(gs?.latency?.p95).toBeCloseTo(100, -1);
    expect(gs?.series.map(({ gap, p50 }) => gap || p50 === null)).toEqual([false, false, true, false]);
    expect(report.notes.join()).toContain('75 %');
    expect(verdict(report)).toBe('The service met every target.');
  });

  it('counts the error budget in time where uptime was sampled', () => {
    const down = [hour(0, '', { upSamples: 90 }), hour(0, 'gs-1')];
    const report = buildReport(input({ rollups: [...input().rollups.slice(2), ...down] }));
    const availability = report.services[0]?.availability;
    // Three observed hours allow 0.18 minutes; a tenth of one of them is 6.
    expect(availability).toMatchObject({ basis: 'time' });
    expect(availability?.allowed).toBeCloseTo(0.18);
    expect(availability?.used).toBeCloseTo(6);
    expect(verdict(report)).toContain('availability by gs');
  });

  it('says so when percentiles are of means and availability is of requests', () => {
    const means = emptySketch();
    addToSketch(means, 50, 100);
    const bare = { samples: 0, upSamples: 0, latency: null, means };
    const report = buildReport(input({ rollups: [hour(0, '', bare), hour(0, 'gs-1', bare)] }));
    expect(report.services[0]).toMatchObject({
      latency: { basis: 'means' },
      availability: { basis: 'requests', used: 1 },
    });
    expect(report.notes).toHaveLength(3);
  });

  it('makes a page that fetches nothing and runs nothing, whatever names it is given', () => {
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

  it('makes CSV with nothing where nothing is known', () => {
    const lines = reportCsv(buildReport(input())).trimEnd().split('\r\n');
    expect(lines).toHaveLength(6);
    expect(lines[3]).toBe('gs,2026-01-05T02:00:00.000Z,,,,,,,,');
  });
});

describe('incidents', () => {
  const event = (instance: string, at: number, serving: boolean, reason = 'refused') => ({
    ...{ service: 'gs', instance, at, serving, reason },
  });
  const both = new Map([['gs', new Set(['gs-1', 'gs-2'])]]);

  it('are an outage only while no instance is left', () => {
    const events = [
      event('gs-1', 10, false),
      event('gs-2', 20, false),
      event('gs-1', 50, true),
      event('gs-2', 60, true),
    ];
    const found = findIncidents(events, both, { from: 0, to: 100 });
    expect(found.map(({ kind, start, end }) => [kind, start, end])).toEqual([
      ['down', 20, 60],
      ['outage', 20, 50],
      ['down', 10, 50],
    ]);
  });

  it('that began before the period or still last count for what is inside it', () => {
    const found = findIncidents(
      [event('gs-1', -50, false), event('gs-1', 5, true), event('gs-1', 90, false)],
      both,
      {
        from: 0,
        to: 100,
      },
    );
    expect(found.map(({ start, end, seconds }) => [start, end, seconds])).toEqual([
      [90, null, 10],
      [-50, 5, 5],
    ]);
  });
});

describe('figures for people', () => {
  it('never round a missed target up to a met one', () => {
    expect(percent(0.99899)).toBe('99.89 %');
    expect(percent(0.999999, 3)).toBe('99.999 %');
    expect(percent(1)).toBe('100.00 %');
  });

  it('show a latency below what HAProxy can count as zero', () => {
    expect(milliseconds(0.00995)).toBe('0');
    expect(milliseconds(0.99)).toBe('0.99');
    expect(milliseconds(null)).toBe('–');
  });

  it('have axes with few round steps', () => {
    expect(niceTicks(730)).toEqual([0, 200, 400, 600, 800]);
    expect(niceTicks(0)).toEqual([0, 1]);
    expect(timeTicks(FROM, FROM + 7 * 86_400).map(({ label }) => label)).toContain('6 Jan');
    expect(timeTicks(FROM, FROM + 30 * 86_400).length).toBeLessThanOrEqual(8);
  });
});
