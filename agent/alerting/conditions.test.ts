import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createAlertState } from './alert-state.ts';
import { CONDITION_RULES, type Condition } from './conditions/condition.ts';
import { limitText } from './figure.ts';
import { dashboardLink, RUNBOOK_SECTIONS, runbookLink } from './links.ts';
import { readMeasured } from './recent.ts';
import type { SiteSummary } from './summary.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const down = (more: Partial<Condition> = {}): Condition => ({
  rule: 'redundancyLost',
  service: 'gs',
  subject: '',
  severity: 'critical',
  value: 1,
  threshold: 2,
  message: 'gs: only gs-1 serves (1 of 2)',
  ...more,
});
function openState(explained = false) {
  let ids = 0;
  const state = createAlertState({
    config: () => config,
    silences: () => [],
    newId: () => `a${++ids}`,
    endText: () => 'gs: all 2 instances serve again',
    isExplained: () => explained,
  });
  let now = 0;
  const turn = (...conditions: Condition[]): string[] => {
    now += 1_000;
    return state
      .evaluateConditions(conditions, now)
      .notices.map(({ event, alert }) => `${event} ${alert.severity}`);
  };
  return { state, turn };
}

test('a condition is raised once and resolved once, after it was absent three times', () => {
  const { state, turn } = openState();
  expect([...turn(down()), ...turn(down()), ...turn(down())]).toEqual(['raised critical']);
  // One good second is not a recovery.
  expect([...turn(), ...turn(), ...turn(down())]).toEqual([]);
  expect([...turn(), ...turn(), ...turn(), ...turn()]).toEqual(['resolved critical']);
  expect(state.firing()).toEqual([]);
});

test('a worse condition escalates at once, a better one eases, under one id; the text describes the present', () => {
  const { state, turn } = openState();
  const warning = down({ rule: 'instanceDown', severity: 'warning', message: 'gs: 1 of 3 instances down' });
  const dead = down({
    rule: 'serviceDown',
    severity: 'emergency',
    message: 'gs: no instance serves (0 of 3)',
  });
  expect([...turn(warning), ...turn(dead)]).toEqual(['raised warning', 'escalated emergency']);
  expect(state.firing()).toMatchObject([
    { id: 'a1', rule: 'serviceDown', message: 'gs: no instance serves (0 of 3)' },
  ]);
  expect([warning, warning, warning].flatMap((one) => turn(one))).toEqual(['eased warning']);
  turn({ ...warning, message: 'gs: 1 of 4 instances down' });
  expect(state.firing()).toMatchObject([
    { id: 'a1', rule: 'instanceDown', message: 'gs: 1 of 4 instances down' },
  ]);
});

test('alerts of thresholds and of conditions do not resolve each other', () => {
  const { state, turn } = openState();
  turn(down());
  const slow = { rule: 'p95Ms', service: 'gs', value: 600, detail: '' } as const;
  state.evaluate([slow], 2_000);
  turn(down());
  expect(state.firing().map(({ rule }) => rule)).toEqual(['redundancyLost', 'p95Ms']);
});

test('an alert whose cause is already reported is not sent', () => {
  const { state } = openState(true);
  const slow = { rule: 'p95Ms', service: 'gs', value: 600, detail: '' } as const;
  expect(state.evaluate([slow], 1_000).notices).toEqual([]);
  expect(state.firing()).toHaveLength(1);
});

/** Every request of the window and of its newest part had these results. */
function summary(errorPercent: number | null, requests = 100): SiteSummary {
  const measures = {
    requests,
    failed: ((errorPercent ?? 0) * requests) / 100,
    perSecond: 1,
    errorPercent,
    p50Ms: 1,
    p95Ms: requests === 0 ? null : 1,
    p99Ms: 1,
    latencySamples: requests,
    availabilityPercent: 100,
    servingPercent: 100,
    samples: 60,
    attempts: requests,
    retries: 0,
    hedges: 0,
    limited: 0,
    concurrency: 1,
    queuedMax: 0,
  };
  return {
    at: 0,
    site: 'main',
    windowSeconds: 300,
    total: measures,
    host: { cpuPercent: 1, memoryPercent: 1, samples: 100 },
    services: [{ id: 'gs', up: 1, of: 1, ...measures, instances: [] }],
  } as SiteSummary;
}

test('a window that is bad only at its start raises no alert; a good newest part resolves at once', () => {
  const { state } = openState();
  let now = 0;
  const turn = (whole: number | null, newest: number | null, requests = 100) => {
    now += 10_000;
    const readings = readMeasured(summary(whole, requests), summary(newest, requests), config.monitor);
    return state.evaluate(readings, now).notices.map(({ event, alert }) => `${event} ${alert.rule}`);
  };
  expect(turn(50, 0)).toEqual([]);
  expect(turn(50, 60)).toEqual(['raised errorPercent']);
  expect(state.firing()).toMatchObject([
    { message: expect.stringContaining('is 50.00 % (emergency at 10.00 %)') },
  ]);
  expect(turn(45, 0)).toEqual(['resolved errorPercent']);
  // The alert comes back within the window: the whole window must be good before the next "resolved".
  expect(turn(45, 60)).toEqual(['raised errorPercent']);
  expect([...turn(40, 0), ...turn(35, 0)]).toEqual([]);
  expect([...turn(0, 0), ...turn(0, 0)]).toEqual(['resolved errorPercent']);
});

test('an alert of a service without traffic for a whole window resolves', () => {
  const { state } = openState();
  const readings = (whole: SiteSummary) => readMeasured(whole, null, config.monitor);
  state.evaluate(readings(summary(50)), 1);
  const { notices } = state.evaluate(readings(summary(null, 0)), 2);
  expect(notices).toMatchObject([
    { event: 'resolved', alert: { message: expect.stringContaining('no traffic') } },
  ]);
  state.evaluate(readings(summary(50)), 3);
  const young = { ...summary(null, 0), windowSeconds: 60 };
  expect(state.evaluate(readings(young), 4).notices).toEqual([]);
});

test('a figure never contradicts its threshold', () => {
  expect(limitText('availabilityPercent', 99.899_9, 99.9, 'warning')).toBe(
    '99.8999 % (warning below 99.9000 %)',
  );
  expect(limitText('errorPercent', 1.001, 1, 'warning')).toBe('1.00 % (warning at 1.00 %)');
  expect(limitText('errorPercent', 9.999, 10, 'critical')).toBe('9.999 % (recovering; critical at 10.000 %)');
  expect(limitText('p95Ms', 499.6, 500, 'critical')).toBe('499.6 ms (recovering; critical at 500.0 ms)');
  expect(limitText('p95Ms', 612, 500, 'critical')).toBe('612 ms (critical at 500 ms)');
  expect(limitText('errorPercent', 5.5, 0.125, 'warning')).toBe('5.500 % (warning at 0.125 %)');
});

test('every rule has a section in docs/incident.md, and messages link to it and to the dashboard', () => {
  const page = readFileSync(new URL('../../docs/incident.md', import.meta.url), 'utf8');
  const anchors = [...page.matchAll(/^#{2,3} (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
  for (const section of Object.values(RUNBOOK_SECTIONS)) expect(anchors).toContain(section);
  expect(Object.keys(RUNBOOK_SECTIONS)).toEqual(
    expect.arrayContaining([...Object.keys(config.monitor.thresholds), ...CONDITION_RULES]),
  );
  expect(runbookLink({}, 'serviceDown')).toBe('docs/incident.md#alert-instance-down');
  expect(runbookLink({ runbookUrl: 'https://wiki.example/lb' }, 'outlier')).toBe(
    'https://wiki.example/lb#alert-outlier',
  );
  expect(dashboardLink({ dashboardUrl: 'https://lb.example/ui/' }, 'gs')).toBe('https://lb.example/ui/#/gs');
  expect(dashboardLink({}, 'gs')).toBeNull();
});
