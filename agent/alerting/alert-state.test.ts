import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { createAlertState } from './alert-state.ts';
import type { RuleReading } from './rules.ts';
import type { Silence } from './silences.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
alerts: { repeat: { warning: 5m, critical: 3m, emergency: 1m, atMost: 2 } }
`);
const MINUTE = 60_000;
const reading = (value: number): RuleReading => ({ rule: 'p95Ms', service: 'gs', value, detail: '' });

function openState(silences: Silence[] = []) {
  let ids = 0;
  const state = createAlertState({
    config: () => config,
    silences: () => silences,
    newId: () => `a${++ids}`,
  });
  /** Evaluates `value` every minute. Returns the notices as `event@minute`. */
  const evaluate = (value: number, from: number, to: number): string[] => {
    const sent: string[] = [];
    for (let minute = from; minute <= to; minute++) {
      const { notices } = state.evaluate([reading(value)], minute * MINUTE);
      sent.push(...notices.map(({ event }) => `${event}@${minute}`));
    }
    return sent;
  };
  return { state, evaluate };
}

test('an unacknowledged alert repeats at the pace of its severity, up to the limit', () => {
  expect(openState().evaluate(450, 0, 30)).toEqual(['raised@0', 'repeated@5', 'repeated@10']);
  expect(openState().evaluate(600, 0, 30)).toEqual(['raised@0', 'repeated@3', 'repeated@6']);
  expect(openState().evaluate(2000, 0, 30)).toEqual(['raised@0', 'repeated@1', 'repeated@2']);
});

test('an alert that is recovering is not repeated', () => {
  const { evaluate } = openState();
  expect([...evaluate(450, 0, 4), ...evaluate(10, 5, 6)]).toEqual(['raised@0', 'resolved@6']);
});

test('an acknowledged alert is not repeated, but its resolution is sent', () => {
  const { state, evaluate } = openState();
  evaluate(450, 0, 0);
  expect(state.acknowledge('a1', 'ada', 1)).toMatchObject({ acknowledgedBy: 'ada' });
  expect(state.acknowledge('unknown', 'ada', 1)).toBeNull();
  expect(evaluate(450, 1, 30)).toEqual([]);
  expect(evaluate(10, 31, 33)).toEqual(['resolved@32']);
});

test('an alert that still fires when its silence ends is raised then', () => {
  const silence = { id: 's', rule: 'p95Ms', service: '', until: 10 * MINUTE, reason: '', createdBy: '' };
  expect(openState([silence]).evaluate(450, 0, 12)).toEqual(['raised@10']);
});

test('an alert that starts and ends inside a silence is never sent', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const { state, evaluate } = openState([silence]);
  expect([...evaluate(450, 0, 3), ...evaluate(10, 4, 70)]).toEqual([]);
  expect(state.firing()).toEqual([]);
});

test('inside a silence, resolved is sent to the receivers of an earlier notification', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const silences: Silence[] = [];
  const { state, evaluate } = openState(silences);
  expect(evaluate(450, 0, 0)).toEqual(['raised@0']);
  silences.push(silence);
  expect(evaluate(600, 1, 3)).toEqual([]);
  const { notices } = [4, 5].map((minute) => state.evaluate([reading(10)], minute * MINUTE))[1] ?? {};
  expect(notices).toMatchObject([{ event: 'resolved', alert: { notifiedSeverities: ['warning'] } }]);
  expect([...evaluate(450, 6, 8), ...evaluate(10, 9, 70)]).toEqual([]);
});

test('the first notification is raised, even when the alert escalates as its silence ends', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 2 * MINUTE, reason: '', createdBy: '' };
  const { evaluate } = openState([silence]);
  expect([...evaluate(450, 0, 1), ...evaluate(600, 2, 2)]).toEqual(['raised@2']);
});

test('a silence of another service changes nothing', () => {
  const silence = { id: 's', rule: '', service: 'ec', until: 60 * MINUTE, reason: '', createdBy: '' };
  expect(openState([silence]).evaluate(450, 0, 0)).toEqual(['raised@0']);
});

test('an adopted alert keeps its id; removing a service resolves its alerts', () => {
  const first = openState();
  first.evaluate(450, 0, 0);
  const open = first.state.firing();
  const { state, evaluate } = openState();
  expect(state.adopt(open, 0)).toEqual([]);
  expect(evaluate(450, 1, 1)).toEqual([]);
  expect(evaluate(600, 2, 2)).toEqual(['escalated@2']);
  expect(state.firing()).toMatchObject([{ id: 'a1' }]);
  // Adopted too late, when the rule has raised a new alert: the old one is resolved.
  const late = openState();
  late.evaluate(450, 0, 0);
  late.state.clear();
  late.evaluate(450, 1, 1);
  expect(late.state.adopt(open, 2)).toMatchObject([{ id: 'a1', state: 'resolved' }]);
  const { changed, notices } = state.evaluate([], 3);
  expect(changed).toMatchObject([{ id: 'a1', state: 'resolved' }]);
  expect(notices).toMatchObject([{ event: 'resolved', alert: { id: 'a1', notified: 1 } }]);
});

test('removing a service sends no resolved for an alert that was never sent', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const { state, evaluate } = openState([silence]);
  evaluate(450, 0, 0);
  silence.until = 0;
  const { changed, notices } = state.evaluate([], MINUTE);
  expect(changed).toMatchObject([{ state: 'resolved' }]);
  expect(notices).toEqual([]);
});

test('an acknowledgement given to another agent counts, unless the alert has escalated since', () => {
  const { state, evaluate } = openState();
  evaluate(450, 0, 0);
  const [open] = state.firing();
  if (!open) throw new Error('no alert fires');
  const acknowledged = { ...open, acknowledgedAt: MINUTE, acknowledgedBy: 'ada', changedAt: MINUTE };
  state.mergeAcks([{ ...acknowledged, id: 'other' }, acknowledged]);
  expect(evaluate(450, 2, 20)).toEqual([]);
  expect(evaluate(600, 21, 21)).toEqual(['escalated@21']);
  state.mergeAcks([acknowledged]);
  expect(evaluate(600, 22, 24)).toEqual(['repeated@24']);
});

test('setting the clock back delays no repeat, and changedAt never decreases', () => {
  const { state, evaluate } = openState();
  evaluate(450, 100, 100);
  expect(evaluate(450, 10, 12)).toEqual(['repeated@10']);
  expect(state.acknowledge('a1', 'ada', 13 * MINUTE)).toMatchObject({ changedAt: 100 * MINUTE });
  state.evaluate([reading(10)], 14 * MINUTE);
  expect(state.evaluate([reading(10)], 15 * MINUTE).changed).toMatchObject([
    { state: 'resolved', resolvedAt: 15 * MINUTE, changedAt: 100 * MINUTE },
  ]);
});
