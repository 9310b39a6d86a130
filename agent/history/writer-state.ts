import { errorMessage } from '../../shared/error-message.ts';
import type { HistoryRecord } from './records.ts';
import type { SpoolRecord } from './spool.ts';
import { postgresErrorHint } from './sql/error-hints.ts';
import { MigrationError } from './sql/migrate.ts';
import { isPermanentError } from './sql/permanent-error.ts';

/**
 * Decides what the history writer does next. One turn moves rows from memory to a safe place, then replays the spool:
 *
 *   idle → writing | spooling → … → reading-spool → writing → acknowledging → reading-spool → … → idle
 *
 * While Postgres accepts rows and the spool is empty, batches go straight to Postgres. Otherwise they go to the spool
 * first, which keeps their order and survives a crash. A commit whose confirmation was lost is safe: Postgres ignores a
 * batch id that it already has.
 */

/** Rows for one transaction. */
export type HistoryBatch = SpoolRecord<HistoryRecord[]>;

/** Where a batch comes from. `memory-after-replay`: a batch that the spool did not accept. */
type WriteSource = 'memory' | 'spool' | 'memory-after-replay';

type WriterPhase =
  | { kind: 'idle' }
  /** The parts of a batch go to Postgres one by one. A batch with an unwritable row is split to isolate the row. */
  | { kind: 'writing'; source: WriteSource; parts: readonly HistoryBatch[] }
  | { kind: 'spooling' }
  | { kind: 'reading-spool' }
  /** Removes from the spool the batch that was written. */
  | { kind: 'acknowledging' }
  /** Later results are ignored. */
  | { kind: 'closed' };

export interface WriterState {
  phase: WriterPhase;
  /** Batch ids are `<runId>/<count>`; `runId` is unique for all time. */
  runId: string;
  batchCount: number;
  /** Rows that are not in a batch yet. */
  waiting: readonly HistoryRecord[];
  /** The batch that is neither in Postgres nor in the spool yet. */
  held: HistoryBatch | null;
  spoolIsEmpty: boolean;
  /** Ids of the one-row parts of the current batch that Postgres rejected; each is logged and counted once. */
  rejected: readonly string[];
  closing: boolean;
  /** Consecutive failures of Postgres and of the spool. */
  failures: number;
  dropped: number;
  lastSuccess: number | null;
  lastError: string | null;
  spoolError: string | null;
  /** The cause of this outage that was logged. */
  loggedError: string | null;
}

export type WriterEvent =
  | { kind: 'rows'; records: readonly HistoryRecord[] }
  | { kind: 'turn'; spoolIsEmpty: boolean }
  | { kind: 'written' }
  | { kind: 'write-failed'; error: unknown }
  | { kind: 'spooled' }
  | { kind: 'spool-failed'; error: unknown }
  | { kind: 'spool-read'; batch: HistoryBatch | null }
  | { kind: 'acknowledged' }
  /** The spool cannot be read or acknowledged. */
  | { kind: 'replay-failed'; error: unknown }
  | { kind: 'closing' }
  /** Time is up: everything in memory goes to the spool. */
  | { kind: 'closed' };

export type WriterEffect =
  | { kind: 'set-timer'; delayMs: number }
  | { kind: 'write'; batch: HistoryBatch }
  | { kind: 'spool'; batch: HistoryBatch }
  | { kind: 'read-spool' }
  | { kind: 'acknowledge' }
  | { kind: 'save'; batches: readonly HistoryBatch[] }
  | { kind: 'log'; level: 'info' | 'warn' | 'error'; text: string };

interface WriterStep {
  state: WriterState;
  effects: WriterEffect[];
}

/** How long rows are collected into one batch, unless the options say otherwise. */
export const FLUSH_MS = 500;
const MAX_BATCH_ROWS = 2_000;
/** Reached only while neither Postgres nor the spool accepts rows. */
const MAX_WAITING_ROWS = 50_000;
const MAX_BACKOFF_MS = 5_000;
/** The error of a write that waits for migrations. */
export const SCHEMA_NOT_READY = 'the schema migration is still running';

export const initialWriterState = (runId: string): WriterState => ({
  phase: { kind: 'idle' },
  runId,
  batchCount: 0,
  waiting: [],
  held: null,
  spoolIsEmpty: true,
  rejected: [],
  closing: false,
  failures: 0,
  dropped: 0,
  lastSuccess: null,
  lastError: null,
  spoolError: null,
  loggedError: null,
});

export const hasRows = ({ held, waiting }: WriterState): boolean => held !== null || waiting.length > 0;
export const isBusy = ({ phase }: WriterState): boolean => phase.kind !== 'idle' && phase.kind !== 'closed';

/** `now`: epoch milliseconds. `flushMs`: how long rows are collected into one batch. */
export function stepWriter(
  state: WriterState,
  event: WriterEvent,
  { now, flushMs = FLUSH_MS }: { now: number; flushMs?: number },
): WriterStep {
  if (state.phase.kind === 'closed') return only(state);
  switch (event.kind) {
    case 'rows':
      return addRows(state, event.records, flushMs);
    case 'turn':
      if (isBusy(state)) return only(state);
      return saveNext({ ...state, spoolIsEmpty: event.spoolIsEmpty });
    case 'written':
      return onWritten(state, now, flushMs);
    case 'write-failed':
      return isPermanentError(event.error)
        ? onRejected(state, event.error, flushMs)
        : onUnavailable(state, event.error, flushMs);
    case 'spooled':
      return onSpooled(state);
    case 'spool-failed':
      return onSpoolFailed(state, errorMessage(event.error));
    case 'spool-read':
      return event.batch ? write(state, [event.batch], 'spool') : onReplayed(state, flushMs);
    case 'acknowledged':
      return state.closing ? endTurn(state, flushMs) : readSpool(state);
    case 'replay-failed':
      return endTurn(failed(state, `spool: ${errorMessage(event.error)}`), flushMs);
    case 'closing':
      return only({ ...state, closing: true });
    case 'closed':
      return onClosed(state);
  }
}

const only = (state: WriterState): WriterStep => ({ state, effects: [] });

/** Puts effects in front of those of a step. */
const withEffects = (effects: WriterEffect[], step: WriterStep): WriterStep => ({
  state: step.state,
  effects: [...effects, ...step.effects],
});

const failed = (state: WriterState, lastError: string): WriterState => ({
  ...state,
  failures: state.failures + 1,
  lastError,
});

function addRows(state: WriterState, records: readonly HistoryRecord[], flushMs: number): WriterStep {
  const all = [...state.waiting, ...records];
  const excess = Math.max(0, all.length - MAX_WAITING_ROWS);
  const effects: WriterEffect[] = [];
  if (excess > 0 && state.dropped === 0) {
    const text = 'history rows are dropped: neither Postgres nor the spool accepts them';
    effects.push({ kind: 'log', level: 'error', text });
  }
  const waiting = excess > 0 ? all.slice(excess) : all;
  const delayMs = waiting.length >= MAX_BATCH_ROWS ? 0 : flushMs;
  if (!state.closing) effects.push({ kind: 'set-timer', delayMs });
  return { state: { ...state, waiting, dropped: state.dropped + excess }, effects };
}

/** Moves the oldest rows in memory to Postgres or to the spool; replays the spool when memory is empty. */
function saveNext(state: WriterState): WriterStep {
  const next = state.held || state.waiting.length === 0 ? state : withBatch(state);
  if (!next.held) return readSpool(next);
  if (next.failures === 0 && next.spoolIsEmpty) return write(next, [next.held], 'memory');
  return spool(next, next.held);
}

function withBatch(state: WriterState): WriterState {
  const batchCount = state.batchCount + 1;
  const body = state.waiting.slice(0, MAX_BATCH_ROWS);
  return {
    ...state,
    batchCount,
    waiting: state.waiting.slice(MAX_BATCH_ROWS),
    held: { id: `${state.runId}/${batchCount}`, rows: body.length, body },
  };
}

const spool = (state: WriterState, batch: HistoryBatch): WriterStep => ({
  state: { ...state, phase: { kind: 'spooling' } },
  effects: [{ kind: 'spool', batch }],
});

const readSpool = (state: WriterState): WriterStep => ({
  state: { ...state, phase: { kind: 'reading-spool' } },
  effects: [{ kind: 'read-spool' }],
});

const write = (state: WriterState, parts: readonly HistoryBatch[], source: WriteSource): WriterStep => ({
  state: { ...state, phase: { kind: 'writing', source, parts } },
  effects: parts.slice(0, 1).map((batch) => ({ kind: 'write', batch })),
});

function onWritten(state: WriterState, now: number, flushMs: number): WriterStep {
  const effects: WriterEffect[] =
    state.failures > 0
      ? [{ kind: 'log', level: 'info', text: 'Postgres accepts history rows again; replaying the spool' }]
      : [];
  // The state of the disk is unknown until the next outage needs it.
  const next = { ...state, failures: 0, spoolError: null, lastError: null, lastSuccess: now };
  return withEffects(effects, nextPart(next, flushMs));
}

/** Continues after the first part was written or rejected. */
function nextPart(state: WriterState, flushMs: number): WriterStep {
  if (state.phase.kind !== 'writing') return only(state);
  const { source, parts } = state.phase;
  if (parts.length > 1) return write(state, parts.slice(1), source);
  const done: WriterState = { ...state, rejected: [] };
  switch (source) {
    case 'memory':
      return saveNext({ ...done, held: null });
    case 'memory-after-replay':
      return endTurn({ ...done, held: null }, flushMs);
    case 'spool':
      return { state: { ...done, phase: { kind: 'acknowledging' } }, effects: [{ kind: 'acknowledge' }] };
  }
}

/** Splits a batch until the unwritable row is alone, and drops that row. Part ids are the same at every attempt. */
function onRejected(state: WriterState, error: Error, flushMs: number): WriterStep {
  if (state.phase.kind !== 'writing') return only(state);
  const { source, parts } = state.phase;
  const [part, ...rest] = parts;
  if (!part) return nextPart(state, flushMs);
  if (part.body.length > 1) return write(state, [...halvesOf(part), ...rest], source);
  const rejected: WriterState = { ...state, lastError: error.message };
  if (state.rejected.includes(part.id)) return nextPart(rejected, flushMs);
  const text = `Postgres rejects a history row permanently; the row is dropped: ${error.message}`;
  const counted = {
    ...rejected,
    rejected: [...state.rejected, part.id],
    dropped: state.dropped + part.rows,
  };
  return withEffects([{ kind: 'log', level: 'error', text }], nextPart(counted, flushMs));
}

function halvesOf({ id, body }: HistoryBatch): HistoryBatch[] {
  const middle = Math.floor(body.length / 2);
  const [first, second] = [body.slice(0, middle), body.slice(middle)];
  return [
    { id: `${id}/a`, rows: first.length, body: first },
    { id: `${id}/b`, rows: second.length, body: second },
  ];
}

/** Postgres cannot write now: rows from memory go to the spool, rows from the spool stay there. */
function onUnavailable(state: WriterState, error: unknown, flushMs: number): WriterStep {
  const message = errorMessage(error);
  // The hint of a MigrationError is part of its message.
  const text = error instanceof MigrationError ? message : `${message}: ${postgresErrorHint(error)}`;
  // A migration that takes long is not the cause yet: if it fails, the cause is logged as well.
  const isNew =
    state.failures === 0 || (state.loggedError === SCHEMA_NOT_READY && message !== SCHEMA_NOT_READY);
  const next = { ...failed(state, message), loggedError: isNew ? message : state.loggedError };
  const fromMemory = state.phase.kind === 'writing' && state.phase.source === 'memory';
  const following = fromMemory && state.held ? spool(next, state.held) : endTurn(next, flushMs);
  const log: WriterEffect = {
    kind: 'log',
    level: 'warn',
    text: `Postgres does not accept history rows; they go to the spool (${text})`,
  };
  return withEffects(isNew ? [log] : [], following);
}

function onSpooled(state: WriterState): WriterStep {
  const effects: WriterEffect[] = state.spoolError
    ? [{ kind: 'log', level: 'info', text: 'the spool is writable again' }]
    : [];
  return withEffects(effects, saveNext({ ...state, held: null, spoolIsEmpty: false, spoolError: null }));
}

/** The batch stays in memory. The spool is still replayed, because on a full disk only a replay frees space. */
function onSpoolFailed(state: WriterState, message: string): WriterStep {
  const text = `the spool is not writable (${message}); history rows wait in memory`;
  const effects: WriterEffect[] = state.spoolError ? [] : [{ kind: 'log', level: 'error', text }];
  const next = { ...state, failures: state.failures + 1, spoolError: `spool: ${message}` };
  return withEffects(effects, readSpool(next));
}

function onReplayed(state: WriterState, flushMs: number): WriterStep {
  const next = { ...state, spoolIsEmpty: true };
  return next.held ? write(next, [next.held], 'memory-after-replay') : endTurn(next, flushMs);
}

function endTurn(state: WriterState, flushMs: number): WriterStep {
  const effects: WriterEffect[] = [];
  if (!state.closing) {
    if (state.failures > 0) {
      const delayMs = Math.min(100 * 2 ** state.failures, MAX_BACKOFF_MS);
      effects.push({ kind: 'set-timer', delayMs });
    } else if (hasRows(state)) effects.push({ kind: 'set-timer', delayMs: flushMs });
  }
  return { state: { ...state, phase: { kind: 'idle' } }, effects };
}

function onClosed(state: WriterState): WriterStep {
  const batches = state.held ? [state.held] : [];
  let rest = { ...state, held: null };
  while (rest.waiting.length > 0) {
    const { held, ...next } = withBatch(rest);
    if (held) batches.push(held);
    rest = { ...next, held: null };
  }
  return {
    state: { ...rest, phase: { kind: 'closed' } },
    effects: batches.length > 0 ? [{ kind: 'save', batches }] : [],
  };
}
