import { expect, test } from 'vitest';
import { agentFindings } from '../../../cli/doctor/agent.ts';
import { formatStatus } from '../../../cli/status-view.ts';
import type { Terminal } from '../../../cli/terminal.ts';
import type { ApiAlert, StatusDocument, StatusInstance } from '../../schemas.ts';
import { findings } from './findings.js';

/** The command, doctor and the dashboard say the same of one status: all well, a warning, or bad. */

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
const quiet = { ...rates, history: { perSecond: [], errorPercent: [], p95: [] }, inflight: 0, queued: 0 };
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
  const tones = findings(document).map(({ tone }) => tone);
  return {
    command: COMMAND[mark],
    doctor: states.includes('fail') ? 'bad' : states.includes('warn') ? 'warning' : 'well',
    dashboard: tones.includes('bad') ? 'bad' : tones.includes('warn') ? 'warning' : 'well',
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

test('one cause is one problem: what an alert tells is not listed again', () => {
  expect(findings(status([up, down], { alerts: [alert()] })).map(({ title }) => title)).toEqual([
    alert().message,
  ]);
  const text = formatStatus(
    status([up, down], { alerts: [alert(), alert({ id: 'a2', ...acknowledged })] }),
    terminal,
  );
  expect(text.split('\n')[0]).toBe(`✗ ${alert().message}`);
  expect(text).toContain('(acknowledged by ada)');
});
