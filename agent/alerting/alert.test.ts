import { expect, test } from 'vitest';
import { type AlertRecord, severityOf, stepAlert } from './alert.ts';
import type { RuleReading } from './rules.ts';

const ladder = { warning: 400, critical: 500, emergency: 1000 };
const falling = { warning: 99.9, critical: 99, emergency: 95 };
const reading = (value: number | null): RuleReading => ({ rule: 'p95Ms', service: 'gs', value, detail: '' });

/** Evaluates values one after another. Returns the events and the alert at the end. */
function run(values: (number | null)[], before: AlertRecord | null = null) {
  let alert = before;
  const events = values.map((value, index) => {
    const step = stepAlert(alert, reading(value), ladder, { now: index, newId: () => 'a' });
    alert = step.alert?.state === 'resolved' ? null : step.alert;
    return step.event ? `${step.event}:${step.alert?.severity}` : null;
  });
  return { events, alert };
}

test('a value at its threshold reaches it; availability reaches its threshold from above', () => {
  expect([399, 400, 499, 500, 1000].map((value) => severityOf('p95Ms', value, ladder))).toEqual([
    null,
    'warning',
    'warning',
    'critical',
    'emergency',
  ]);
  expect([100, 99.9, 99.89, 98.9, 94.9].map((v) => severityOf('availabilityPercent', v, falling))).toEqual([
    null,
    null,
    'warning',
    'critical',
    'emergency',
  ]);
});

test('raised, escalated, eased and resolved are sent once each', () => {
  expect(run([300, 450, 450, 600, 600, 420, 420, 420, 100, 100, 100]).events).toEqual([
    null,
    'raised:warning',
    null,
    'escalated:critical',
    null,
    null,
    'eased:warning',
    null,
    null,
    'resolved:warning',
    null,
  ]);
});

test('a value that hovers around its threshold raises one alert', () => {
  expect(run([450, 395, 405, 395, 370, 395, 365, 410]).events.filter(Boolean)).toEqual(['raised:warning']);
});

test('an alert resolves only after two consecutive recovered evaluations', () => {
  expect(run([450, 100, 450, 100, 450]).events.filter(Boolean)).toEqual(['raised:warning']);
});

test('too few samples change nothing', () => {
  expect(run([null]).events).toEqual([null]);
  expect(run([450, null, null, null]).alert?.state).toBe('firing');
});

test('an escalation drops the acknowledgement', () => {
  const { alert } = run([450]);
  const acknowledged = alert && { ...alert, acknowledgedAt: 1, acknowledgedBy: 'ada' };
  expect(run([450], acknowledged).alert?.acknowledgedBy).toBe('ada');
  expect(run([700], acknowledged).alert?.acknowledgedBy).toBeNull();
});
