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

function openBook(silences: Silence[] = []) {
  let ids = 0;
  const book = createAlertState({ config: () => config, silences: () => silences, newId: () => `a${++ids}` });
  /** Minutes at which something was told, when every minute shows `value`. */
  const tell = (value: number, from: number, to: number): string[] => {
    const told: string[] = [];
    for (let minute = from; minute <= to; minute++) {
      const { notices } = book.evaluate([reading(value)], minute * MINUTE);
      told.push(...notices.map(({ event }) => `${event}@${minute}`));
    }
    return told;
  };
  return { book, tell };
}

test('an alert nobody takes is repeated by its severity, and not for ever', () => {
  expect(openBook().tell(450, 0, 30)).toEqual(['raised@0', 'repeated@5', 'repeated@10']);
  expect(openBook().tell(600, 0, 30)).toEqual(['raised@0', 'repeated@3', 'repeated@6']);
  expect(openBook().tell(2000, 0, 30)).toEqual(['raised@0', 'repeated@1', 'repeated@2']);
});

test('what is well again at this look is not said to go on', () => {
  const { tell } = openBook();
  expect([...tell(450, 0, 4), ...tell(10, 5, 6)]).toEqual(['raised@0', 'resolved@6']);
});

test('an acknowledged one is not repeated, but its end is told', () => {
  const { book, tell } = openBook();
  tell(450, 0, 0);
  expect(book.acknowledge('a1', 'ada', 1)).toMatchObject({ acknowledgedBy: 'ada' });
  expect(book.acknowledge('nobody', 'ada', 1)).toBeNull();
  expect(tell(450, 1, 30)).toEqual([]);
  expect(tell(10, 31, 33)).toEqual(['resolved@32']);
});

test('a silence keeps it back; when it ends and all is not well, it is told then', () => {
  const silence = { id: 's', rule: 'p95Ms', service: '', until: 10 * MINUTE, reason: '', createdBy: '' };
  expect(openBook([silence]).tell(450, 0, 12)).toEqual(['raised@10']);
});

test('what began and ended inside a silence is never told', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const { book, tell } = openBook([silence]);
  expect([...tell(450, 0, 3), ...tell(10, 4, 70)]).toEqual([]);
  expect(book.firing()).toEqual([]);
});

test('the end of what was told before a silence is told inside it, to those who heard', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const silences: Silence[] = [];
  const { book, tell } = openBook(silences);
  expect(tell(450, 0, 0)).toEqual(['raised@0']);
  silences.push(silence);
  expect(tell(600, 1, 3)).toEqual([]);
  const { notices } = [4, 5].map((minute) => book.evaluate([reading(10)], minute * MINUTE))[1] ?? {};
  expect(notices).toMatchObject([{ event: 'resolved', alert: { notifiedSeverities: ['warning'] } }]);
  expect([...tell(450, 6, 8), ...tell(10, 9, 70)]).toEqual([]);
});

test('the first that is told of an alert is that it is there, even if it changes as its silence ends', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 2 * MINUTE, reason: '', createdBy: '' };
  const { tell } = openBook([silence]);
  expect([...tell(450, 0, 1), ...tell(600, 2, 2)]).toEqual(['raised@2']);
});

test('a silence for something else changes nothing', () => {
  const silence = { id: 's', rule: '', service: 'ec', until: 60 * MINUTE, reason: '', createdBy: '' };
  expect(openBook([silence]).tell(450, 0, 0)).toEqual(['raised@0']);
});

test('what another run left open goes on under its id; a service that is gone ends its alerts', () => {
  const first = openBook();
  first.tell(450, 0, 0);
  const open = first.book.firing();
  const { book, tell } = openBook();
  expect(book.adopt(open, 0)).toEqual([]);
  expect(tell(450, 1, 1)).toEqual([]);
  expect(tell(600, 2, 2)).toEqual(['escalated@2']);
  expect(book.firing()).toMatchObject([{ id: 'a1' }]);
  // Read only after it was raised anew: the old one is closed.
  const late = openBook();
  late.tell(450, 0, 0);
  late.book.clear();
  late.tell(450, 1, 1);
  expect(late.book.adopt(open, 2)).toMatchObject([{ id: 'a1', state: 'resolved' }]);
  const { changed, notices } = book.evaluate([], 3);
  expect(changed).toMatchObject([{ id: 'a1', state: 'resolved' }]);
  expect(notices).toMatchObject([{ event: 'resolved', alert: { id: 'a1', notified: 1 } }]);
});

test('the end of a service whose alert nobody was told of is not told either', () => {
  const silence = { id: 's', rule: '', service: 'gs', until: 60 * MINUTE, reason: '', createdBy: '' };
  const { book, tell } = openBook([silence]);
  tell(450, 0, 0);
  silence.until = 0;
  const { changed, notices } = book.evaluate([], MINUTE);
  expect(changed).toMatchObject([{ state: 'resolved' }]);
  expect(notices).toEqual([]);
});

test('an acknowledgement given to another agent counts, one from before it got worse does not', () => {
  const { book, tell } = openBook();
  tell(450, 0, 0);
  const [open] = book.firing();
  if (!open) throw new Error('nothing fires');
  const taken = { ...open, acknowledgedAt: MINUTE, acknowledgedBy: 'ada', changedAt: MINUTE };
  book.mergeAcks([{ ...taken, id: 'other' }, taken]);
  expect(tell(450, 2, 20)).toEqual([]);
  expect(tell(600, 21, 21)).toEqual(['escalated@21']);
  book.mergeAcks([taken]);
  expect(tell(600, 22, 24)).toEqual(['repeated@24']);
});

test('a clock that was set back holds up no repeat, and no change is older than the one before', () => {
  const { book, tell } = openBook();
  tell(450, 100, 100);
  expect(tell(450, 10, 12)).toEqual(['repeated@10']);
  expect(book.acknowledge('a1', 'ada', 13 * MINUTE)).toMatchObject({ changedAt: 100 * MINUTE });
  book.evaluate([reading(10)], 14 * MINUTE);
  expect(book.evaluate([reading(10)], 15 * MINUTE).changed).toMatchObject([
    { state: 'resolved', resolvedAt: 15 * MINUTE, changedAt: 100 * MINUTE },
  ]);
});
