import { expect, test } from 'vitest';
import type { HistoryRecord } from './records.ts';
import { initialWriterState, stepWriter, type WriterEvent, type WriterState } from './writer-state.ts';

const row = (kind: string): HistoryRecord => ({ table: 'state_events', row: { kind } });
const rows = (...kinds: string[]): WriterEvent => ({ kind: 'rows', records: kinds.map(row) });
const turn = { kind: 'turn', spoolIsEmpty: true } as const;
const unavailable: WriterEvent = { kind: 'write-failed', error: new Error('connect ECONNREFUSED') };
const rejected: WriterEvent = {
  kind: 'write-failed',
  error: Object.assign(new Error('invalid'), { code: '22P02' }),
};
const batch = (id: string, ...kinds: string[]) => ({ id, rows: kinds.length, body: kinds.map(row) });

/** Applies events to a new writer, or to `from`. */
function after(events: readonly WriterEvent[], from: WriterState = initialWriterState('run')) {
  let step = { state: from, effects: [] as ReturnType<typeof stepWriter>['effects'] };
  for (const event of events) step = stepWriter(step.state, event, { now: 1_000 });
  return step;
}
const withoutLogs = (events: readonly WriterEvent[], from?: WriterState) =>
  after(events, from).effects.filter(({ kind }) => kind !== 'log');

test('rows are collected into one batch that goes straight to Postgres', () => {
  expect(after([rows('a')]).effects).toEqual([{ kind: 'set-timer', delayMs: 500 }]);
  expect(after([rows('a'), rows('b'), turn]).effects).toEqual([
    { kind: 'write', batch: batch('run/1', 'a', 'b') },
  ]);
  const written = after([rows('a'), turn, { kind: 'written' }]);
  expect(written.effects).toEqual([{ kind: 'read-spool' }]);
  expect(written.state).toMatchObject({ held: null, lastSuccess: 1_000 });
});

test('a batch that Postgres does not accept goes to the spool, and the writer backs off', () => {
  const events = [rows('a'), turn, unavailable];
  expect(withoutLogs(events)).toEqual([{ kind: 'spool', batch: batch('run/1', 'a') }]);
  const spooled = after([...events, { kind: 'spooled' }]);
  expect(spooled.state).toMatchObject({ held: null, spoolIsEmpty: false, failures: 1 });
  const replayed: WriterEvent[] = [{ kind: 'spool-read', batch: batch('run/1', 'a') }, unavailable];
  expect(after(replayed, spooled.state).effects).toEqual([{ kind: 'set-timer', delayMs: 400 }]);
});

test('while the spool holds rows, new rows go behind them', () => {
  expect(after([rows('b'), { kind: 'turn', spoolIsEmpty: false }]).effects).toEqual([
    { kind: 'spool', batch: batch('run/1', 'b') },
  ]);
});

test('the spool is replayed until it is empty', () => {
  const events: WriterEvent[] = [
    turn,
    { kind: 'spool-read', batch: batch('old/1', 'a') },
    { kind: 'written' },
  ];
  expect(after(events).effects).toEqual([{ kind: 'acknowledge' }]);
  expect(after([...events, { kind: 'acknowledged' }]).effects).toEqual([{ kind: 'read-spool' }]);
  const empty = after([...events, { kind: 'acknowledged' }, { kind: 'spool-read', batch: null }]);
  expect(empty).toMatchObject({ state: { phase: { kind: 'idle' }, spoolIsEmpty: true }, effects: [] });
});

test('while the spool is not writable, a batch stays in memory and is written after the replay', () => {
  const events: WriterEvent[] = [
    rows('b'),
    { kind: 'turn', spoolIsEmpty: false },
    { kind: 'spool-failed', error: new Error('ENOSPC') },
  ];
  expect(withoutLogs(events)).toEqual([{ kind: 'read-spool' }]);
  const replayed = after([...events, { kind: 'spool-read', batch: null }]);
  expect(replayed.effects).toEqual([{ kind: 'write', batch: batch('run/1', 'b') }]);
  expect(after([{ kind: 'written' }], replayed.state).state).toMatchObject({ held: null, spoolError: null });
});

test('a batch with a rejected row is split; the row is dropped, logged and counted once', () => {
  const split = after([rows('a', 'b'), turn, rejected]);
  expect(split.effects).toEqual([{ kind: 'write', batch: batch('run/1/a', 'a') }]);
  const dropped = after([rejected], split.state);
  expect(dropped.state.dropped).toBe(1);
  expect(dropped.effects).toMatchObject([
    { kind: 'log', level: 'error' },
    { kind: 'write', batch: batch('run/1/b', 'b') },
  ]);
  const again = after(
    [
      unavailable,
      { kind: 'spooled' },
      { kind: 'spool-read', batch: batch('run/1', 'a', 'b') },
      rejected,
      rejected,
      { kind: 'written' },
    ],
    dropped.state,
  );
  expect(again.state.dropped).toBe(1);
  expect(again.effects.at(-1)).toEqual({ kind: 'acknowledge' });
});

test('an outage is logged once, and its end', () => {
  const outage = [rows('a'), turn, unavailable, { kind: 'spooled' }] as const;
  expect(after(outage.slice(0, 3)).effects[0]).toMatchObject({ kind: 'log', level: 'warn' });
  const read: WriterEvent = { kind: 'spool-read', batch: batch('run/1', 'a') };
  expect(after([...outage, read, unavailable]).effects).toEqual([{ kind: 'set-timer', delayMs: 400 }]);
  expect(after([...outage, read, { kind: 'written' }]).effects[0]).toMatchObject({
    kind: 'log',
    level: 'info',
  });
});

test('memory is bounded: the oldest rows are dropped and counted', () => {
  const many = rows(...Array.from({ length: 50_001 }, (_, index) => String(index)));
  const { state } = after([many]);
  expect(state.waiting[0]).toEqual(row('1'));
  expect(state.dropped).toBe(1);
});

test('closing saves everything in memory to the spool and ignores later results', () => {
  const { state, effects } = after([rows('a'), turn, rows('b'), { kind: 'closing' }, { kind: 'closed' }]);
  expect(effects).toEqual([{ kind: 'save', batches: [batch('run/1', 'a'), batch('run/2', 'b')] }]);
  expect(after([{ kind: 'written' }], state).effects).toEqual([]);
});
