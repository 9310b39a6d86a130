import { expect, test } from 'vitest';
import { newSourceStatus, type SourceOutcome, sourceText, stepSourceStatus } from './status.ts';

/** The events of a sequence of outcomes, one each second from `from`. */
function eventsOf(outcomes: readonly SourceOutcome[], everySeconds = 1): string[] {
  let status = newSourceStatus('web', 'dns web.internal', 0);
  return outcomes.flatMap((outcome, index) => {
    const step = stepSourceStatus(status, outcome, 1_000_000 + index * everySeconds * 1_000);
    status = step.status;
    return step.event ? [`${step.event.to} ${step.event.reason}`] : [];
  });
}

const read: SourceOutcome = { kind: 'read', refusals: [] };
const failed = (problem: string): SourceOutcome => ({ kind: 'failed', problem });
const standby: SourceOutcome = { kind: 'standby' };

test('a failure and the recovery are reported; a start, a standby and a repeated failure are not', () => {
  expect(eventsOf([standby, read, read, standby, read])).toEqual([]);
  expect(eventsOf([read, failed('SERVFAIL'), failed('SERVFAIL'), read])).toEqual([
    'failing dns web.internal cannot be read; its last list stays in use: SERVFAIL',
    'ok dns web.internal is read',
  ]);
});

test('another problem in the same state is reported once a minute at most', () => {
  const problems = Array.from({ length: 10 }, (_, index) => failed(`problem ${index}`));
  expect(eventsOf(problems)).toHaveLength(1);
  expect(eventsOf(problems, 30)).toHaveLength(5);
});

test('the first problems of a list are named, and how many there are', () => {
  const { status } = stepSourceStatus(
    newSourceStatus('web', 'file /x', 0),
    { kind: 'read', refusals: ['a', 'b', 'c', 'd', 'e'] },
    5,
  );
  expect(sourceText(status)).toBe('the list of file /x removes no instance: a; b; c (and 2 more)');
  expect(status).toMatchObject({ state: 'refused', since: 5, readAt: 5 });
});
