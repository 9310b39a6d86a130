import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EVENT_KINDS } from '../../../history/events.ts';
import { marksOf, markText, textOfEvent, toneOfEvent } from './markers.js';
import type { LoggedEvent } from './types.d.ts';

const event = (at: number, kind: LoggedEvent['kind'], more: Partial<LoggedEvent> = {}): LoggedEvent => ({
  at,
  kind,
  service: 'gs',
  instance: 'gs-1',
  reason: '',
  ...more,
});

test('close events share a mark of the worst tone; others stand alone', () => {
  const events = [
    event(900, 'state', { to: 'up' }),
    event(500, 'state', { to: 'down' }),
    event(505, 'rollout', { to: 'started' }),
    event(507, 'health', { to: 'down' }),
    event(2_000, 'state', { to: 'down' }),
  ];
  expect(marksOf(events, 0, 1_000)).toEqual([
    { at: 500, position: 0.5, tone: 'bad', events: [events[1], events[2]] },
    { at: 900, position: 0.9, tone: 'fine', events: [events[0]] },
  ]);
});

test('a mark says what happened, at most four lines', () => {
  const events = Array.from({ length: 6 }, () =>
    event(1, 'alert', {
      to: 'firing',
      instance: '',
      reason: 'only gs-2 serves',
      alert: { id: 'a', rule: 'redundancyLost', severity: 'critical' },
    }),
  );
  const lines = markText({ at: 1, position: 0, tone: 'bad', events }, () => '14:05').split('\n');
  expect(lines[0]).toBe('14:05 Alert redundancyLost, gs firing only gs-2 serves');
  expect(lines).toHaveLength(5);
  expect(lines[4]).toBe('and 2 more');
  expect(textOfEvent(event(1, 'admin', { to: 'drain', by: 'ada' }))).toBe('set to drain by ada');
});

test('a failed rollout has the tone of a problem, other steps of a rollout are neutral', () => {
  expect(['started', 'finished', 'failed'].map((to) => toneOfEvent(event(0, 'rollout', { to })))).toEqual([
    'accent',
    'accent',
    'bad',
  ]);
});

test('the page can filter by every kind of event', () => {
  const page = readFileSync(new URL('./index.html', import.meta.url), 'utf8');
  const [select = ''] = /<select id="event-kind">[\s\S]*?<\/select>/.exec(page) ?? [];
  const options = [...select.matchAll(/<option>(\w+)/g)].map(([, kind]) => kind);
  expect(options).toEqual([...EVENT_KINDS]);
});
