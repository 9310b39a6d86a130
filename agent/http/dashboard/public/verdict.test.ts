import { expect, test } from 'vitest';
import { agentFindings } from '../../../cli/doctor/agent.ts';
import { formatStatus } from '../../../cli/status-view.ts';
import type { Terminal } from '../../../cli/terminal.ts';
import type { ApiAlert } from '../../schemas/alerts.ts';
import type { StatusDocument, StatusInstance } from '../../schemas/status.ts';
import { commonReasons, verdictOf } from './verdict.js';

/** The command and the dashboard show one verdict; doctor agrees: all well, a warning, or bad. */

const terminal: Terminal = {
  interactive: false,
  showsProgress: false,
  columns: 120,
  rows: 24,
  write() {},
  error() {},
  progressLine() {},
  paint: (_, text) => text,
};
const rates = { perSecond: 0, errorPercent: null, p50: null, p95: null, p99: null };
const quiet = {
  ...rates,
  history: { until: 0, perSecond: [], errorPercent: [], p95: [] },
  inflight: 0,
  queued: 0,
};
const up: Partial<StatusInstance> = { state: 'up', health: 'up' };
const down: Partial<StatusInstance> = { state: 'down', health: 'down', reason: 'connect refused' };
const instance = (id: string, more: Partial<StatusInstance>) =>
  ({
    id,
    service: 'gs',
    url: 'http://127.0.0.1:1',
    origin: 'file',
    reason: '',
    since: 0,
    breaker: 'closed',
    admin: 'ready',
    weight: 100,
    priority: 1,
    latencyMs: null,
    traffic: rates,
    inflight: 0,
    queued: 0,
    ...more,
  }) as StatusInstance;
const alert = (more: Partial<ApiAlert> = {}): ApiAlert => ({
  id: 'a1',
  rule: 'redundancyLost',
  service: 'gs',
  subject: '',
  severity: 'critical',
  state: 'firing',
  value: 1,
  threshold: 2,
  message: 'gs: only gs-1 serves (1 of 2); gs-2: connect refused',
  startedAt: 0,
  changedAt: 0,
  resolvedAt: null,
  acknowledgedAt: null,
  acknowledgedBy: null,
  notified: 1,
  silenced: false,
  ...more,
});
const ok = { state: 'ok', pending: 0, dropped: 0, lastSuccess: 1, lastError: null } as const;
const status = (instances: Partial<StatusInstance>[], more: Partial<StatusDocument> = {}) =>
  ({
    at: 60_000,
    version: '1',
    site: 'main',
    startedAt: 0,
    ready: true,
    leader: { role: 'single', holder: null },
    snapshot: { epoch: 1, seq: 1, publishedAt: 0, error: null },
    sinks: { haproxy: ok, redis: ok },
    alerts: [],
    sources: [],
    total: quiet,
    services: [
      {
        id: 'gs',
        routes: ['/'],
        timeoutMs: 1,
        maxconn: 1,
        traffic: quiet,
        inflight: 0,
        queued: 0,
        instances: instances.map((each, index) => instance(`gs-${index + 1}`, each)),
      },
    ],
    edge: { isolates: 0, lastReport: null, oldest: null, newest: null, requests: [], limits: [] },
    changes: [],
    ...more,
  }) as StatusDocument;

const COMMAND = { '✓': 'well', '!': 'warning', '✗': 'bad' } as const;
const sayings = (document: StatusDocument) => {
  const mark = formatStatus(document, terminal)[0] as keyof typeof COMMAND;
  const states = agentFindings(document).map(({ state }) => state);
  const tone = verdictOf(document).tone;
  return {
    command: COMMAND[mark],
    doctor: states.includes('fail') ? 'bad' : states.includes('warn') ? 'warning' : 'well',
    dashboard: { fine: 'well', warn: 'warning', bad: 'bad' }[tone],
  };
};
const all = (verdict: string) => ({ command: verdict, doctor: verdict, dashboard: verdict });
const acknowledged = { acknowledgedAt: 1, acknowledgedBy: 'ada' };
const slow: Partial<ApiAlert> = { rule: 'p95Ms', message: 'gs: p95 latency is 612 ms (critical at 500 ms)' };

test.each<[string, StatusDocument, string]>([
  ['everything up', status([up, up]), 'well'],
  ['an operator took one out', status([up, { ...down, admin: 'maint' }]), 'well'],
  ['one drains', status([up, { state: 'draining', admin: 'drain' }]), 'well'],
  ['one is down, no alert yet', status([up, up, down]), 'warning'],
  ['nothing serves, no alert yet', status([down, down]), 'bad'],
  [
    'a warning',
    status([up, up, down], { alerts: [alert({ rule: 'instanceDown', severity: 'warning' })] }),
    'warning',
  ],
  ['redundancy lost', status([up, down], { alerts: [alert()] }), 'bad'],
  ['redundancy lost, acknowledged', status([up, down], { alerts: [alert(acknowledged)] }), 'warning'],
  ['slow with everything up', status([up, up], { alerts: [alert(slow)] }), 'bad'],
  ['slow, acknowledged', status([up, up], { alerts: [alert({ ...slow, ...acknowledged })] }), 'well'],
  ['slow, silenced', status([up, up], { alerts: [alert({ ...slow, silenced: true })] }), 'well'],
  ['a sink fails', status([up, up], { sinks: { redis: { ...ok, state: 'retrying' } } }), 'warning'],
])('%s', (_, document, verdict) => {
  expect(sayings(document)).toEqual(all(verdict));
});

const problemsOf = (document: StatusDocument) => verdictOf(document).problems;

test('one cause is one problem: a dead instance, its breaker, its probes and its alerts', () => {
  const slowAlert = alert({ id: 'a3', ...slow, severity: 'warning' });
  const document = status([up, { ...down, breaker: 'open' }], { alerts: [alert(), slowAlert] });
  expect(problemsOf(document)).toEqual([
    expect.objectContaining({
      tone: 'bad',
      title: 'gs: only gs-1 serves (1 of 2)',
      why: 'gs-2: connect refused',
      instances: ['gs-2'],
      notified: 'critical alert, sent once',
      effects: [slow.message],
    }),
  ]);
  const text = formatStatus(
    status([up, down], { alerts: [alert(), alert({ id: 'a2', ...acknowledged })] }),
    terminal,
  );
  expect(text.split('\n')[0]).toBe(`✗ ${alert().message}`);
  expect(text).toContain('(acknowledged by ada)');
});

test('a critical effect makes its cause bad; an acknowledged cause says by whom', () => {
  const [problem, ...others] = problemsOf(
    status([up, down], { alerts: [alert(acknowledged), alert({ id: 'a2', ...slow })] }),
  );
  expect(others).toEqual([]);
  expect(problem).toMatchObject({
    tone: 'bad',
    title: 'gs-2 is down',
    notified: 'acknowledged by ada',
    effects: [slow.message],
  });
});

test('two causes in one service are two problems', () => {
  const outlier = { cause: 'slow' as const, evidence: 'p50 804 ms, peers 1 ms', share: 0.05, since: 70 };
  const reason = 'slow: p50 804 ms, peers 1 ms';
  const document = status([up, down, { ...up, reason, outlier, since: 5 }], { alerts: [alert()] });
  expect(problemsOf(document)).toMatchObject([
    { rule: 'redundancyLost', instances: ['gs-2'] },
    { title: 'gs-3 is slow', why: reason, since: 70, instances: ['gs-3'] },
  ]);
});

test('a dead host is one problem, whatever services it had', () => {
  const host = alert({
    rule: 'instanceDown',
    service: '',
    subject: '10.0.0.7',
    message: 'host 10.0.0.7: all 2 instances down; gs-2: timeout',
  });
  const document = status([up, { ...down, url: 'http://10.0.0.7:80' }], { alerts: [host] });
  expect(problemsOf(document).map(({ title }) => title)).toEqual(['host 10.0.0.7: all 2 instances down']);
});

test('problems say where on the path of a request they are', () => {
  const sinks = {
    haproxy: { ...ok, state: 'down' as const },
    postgres: { ...ok, state: 'retrying' as const },
  };
  const snapshot = { epoch: 1, seq: 1, publishedAt: 0, error: 'hub: 403' };
  const places = problemsOf(status([up, down], { sinks, snapshot })).map(({ place }) => place);
  expect(places.toSorted()).toEqual(['agent', 'edge', 'gateway', 'service']);
});

test('many instances with the same problem are one problem, with the most common reasons', () => {
  const many = Array.from({ length: 49 }, (_, index) => ({
    ...down,
    since: index,
    reason: index === 48 ? 'status 503' : `connect refused 127.0.0.${index}:80`,
  }));
  expect(problemsOf(status([up, ...many]))).toMatchObject([
    {
      tone: 'warn',
      title: 'gs: 49 of 50 instances are down',
      since: 0,
      why: '48 × connect refused; 1 × status 503',
    },
  ]);
  expect(commonReasons([{ reason: 'refused [::1]:80' }, { reason: 'refused [::2]:80' }])).toBe('refused');
});

test('advice about a setting: the same text in the command, in doctor and in the banner, and no problem', () => {
  const advice = [{ service: 'gs', message: 'answers of /poll are held', action: 'Set longLived.paths.' }];
  const shown = status([instance('gs-1', up)], { advice });
  const { tone, notes } = verdictOf(shown);
  expect(tone).toBe('fine');
  expect(notes).toMatchObject([{ title: 'Settings of gs', why: 'answers of /poll are held' }]);
  expect(formatStatus(shown, terminal)).toContain('gs: answers of /poll are held. Set longLived.paths.');
  expect(agentFindings(shown)).toContainEqual({
    name: 'settings of gs',
    state: 'warn',
    detail: 'answers of /poll are held',
    mend: 'Set longLived.paths.',
  });
});
