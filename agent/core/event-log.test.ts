import { expect, test } from 'vitest';
import { createEventLog } from './event-log.ts';

const change = { at: 0, service: 'gs', instance: 'gs-1', kind: 'state', reason: 'test' } as const;

test('a client that resumes gets the later changes; a sequence from before a restart gets all of them', () => {
  const events = createEventLog();
  events.accept({ changes: [change, change, change] });
  expect(events.after(1).map(({ seq }) => seq)).toEqual([2, 3]);
  expect(events.after(5_000).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(events.after(0, 2).map(({ seq }) => seq)).toEqual([2, 3]);
});
