import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { sampleStatus, sampleStatusService } from '../../../test/harness/status-document.ts';
import type { ApiAlert } from '../../http/schemas/alerts.ts';
import type { StatusDocument } from '../../http/schemas/status.ts';
import type { Terminal } from '../terminal.ts';
import { pressKey, type WatchState, watchFrame } from './frame.ts';

const terminal = (columns: number, rows: number): Terminal => ({
  write() {},
  error() {},
  progressLine() {},
  interactive: true,
  showsProgress: true,
  columns,
  rows,
  paint: (_, text) => text,
});

const serviceIds = (count: number) => Array.from({ length: count }, (_, index) => `service-${index}`);
const statusOf = (count: number, sick: Record<string, ['up' | 'down', 'up' | 'down']>): StatusDocument =>
  sampleStatus(serviceIds(count).map((id) => sampleStatusService(id, sick[id] ?? ['up', 'up'])));
const watching = (status: StatusDocument | null, more: Partial<WatchState> = {}): WatchState => ({
  status,
  error: '',
  all: false,
  top: 0,
  ...more,
});

const alert = (message: string, severity: ApiAlert['severity']): ApiAlert => ({
  id: message,
  rule: 'instanceDown',
  service: '',
  subject: '',
  severity,
  state: 'firing',
  value: 1,
  threshold: 1,
  message,
  startedAt: 0,
  changedAt: 0,
  resolvedAt: null,
  acknowledgedAt: null,
  acknowledgedBy: null,
  notified: 1,
  silenced: false,
});

for (const [columns, rows] of [
  [80, 24],
  [120, 40],
  [60, 12],
] as const) {
  for (const count of [7, 300]) {
    test(`${count} services on ${columns}×${rows}: the frame has the size of the terminal`, () => {
      const status = statusOf(count, { 'service-3': ['up', 'down'], 'service-5': ['down', 'down'] });
      const frame = watchFrame(watching(status), terminal(columns, rows), 60_000);
      expect(frame).toHaveLength(rows);
      for (const line of frame) expect(stringWidth(line), line).toBeLessThanOrEqual(columns);
    });
  }
}

test('worst first: a service without a serving instance, then one with an instance down; the others are folded', () => {
  const status = statusOf(7, { 'service-3': ['up', 'down'], 'service-5': ['down', 'down'] });
  const frame = watchFrame(watching(status), terminal(80, 24), 60_000);
  const first = frame.flatMap((line) => /^service-\d/.exec(line)?.[0] ?? []);
  expect(first.slice(0, 3)).toEqual(['service-5', 'service-3', 'service-0']);
  expect(frame.join('\n')).toMatch(/service-0 +all 2 +up/);
  expect(frame.join('\n')).not.toContain('service-0-1');
});

test('open alerts come first, the most severe on top', () => {
  const alerts = [alert('a warning', 'warning'), alert('an emergency', 'emergency')];
  const text = watchFrame(watching({ ...statusOf(7, {}), alerts }), terminal(80, 24), 60_000).join('\n');
  expect(text).toMatch(/^✗ an emergency/);
  const order = ['Alerts', 'emergency  ', 'warning  ', 'SERVICE'].map((part) => text.indexOf(part));
  expect(order).not.toContain(-1);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

test('keys move within the body and stop at its ends; the header stays', () => {
  const screen = terminal(80, 24);
  const start = watching(statusOf(300, {}));
  const press = (state: WatchState, ...keys: Parameters<typeof pressKey>[1][]) =>
    keys.reduce((now, key) => pressKey(now, key, screen), state);
  expect(press(start, 'up').top).toBe(0);
  expect(press(start, 'down', 'down', 'up').top).toBe(1);
  const end = press(start, 'end');
  expect(press(end, 'down', 'pageDown')).toEqual(end);
  expect(press(end, 'home').top).toBe(0);
  expect(press(start, 'pageDown', 'pageUp').top).toBe(0);
  const frame = watchFrame(end, screen, 60_000);
  expect(frame[0]).toBe('✓ all 600 instances of 300 services up');
  expect(frame.at(-2)).toMatch(/^sinks/);
  expect(frame.at(-1)).toMatch(/(\d+) of \1$/);
  const all = press(end, 'toggleAll');
  expect(all).toMatchObject({ all: true, top: 0 });
  expect(watchFrame(press(all, 'end'), screen, 60_000).at(-1)).toMatch(/of 9\d\d$/);
});

test('all facts of the status are shown, advice included', () => {
  const advice = [{ service: 'web', message: 'no client returns its cookie', action: 'Set by: ip.' }];
  const text = watchFrame(watching({ ...statusOf(2, {}), advice }), terminal(120, 40), 60_000).join('\n');
  expect(text).toMatch(/^advice +web: no client returns its cookie\. Set by: ip\.$/m);
});

test('a smaller body or window never leaves an empty page', () => {
  const end = pressKey(watching(statusOf(300, {})), 'end', terminal(80, 24));
  const frame = watchFrame({ ...end, status: statusOf(2, {}) }, terminal(80, 40), 60_000);
  expect(frame.join('\n')).toContain('service-0');
});

test('while the agent does not answer, the last state stays, with its age', () => {
  const state = watching(statusOf(7, {}), { error: 'no answer from the agent' });
  const frame = watchFrame(state, terminal(80, 24), 75_000);
  expect(frame[0]).toBe('no answer from the agent; retrying; showing the state of 15s ago');
  expect(frame.join('\n')).toContain('service-0');
  const first = watchFrame(watching(null, { error: 'no answer' }), terminal(80, 24), 0);
  expect(first[0]).toBe('no answer; retrying');
  expect(first).toHaveLength(24);
});
