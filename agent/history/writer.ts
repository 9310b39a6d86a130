import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { errorMessage } from '../../shared/error-message.ts';
import type { SinkStatus } from '../core/sink.ts';
import { waitAtMost } from '../lib/with-timeout.ts';
import type { HistoryRecord } from './records.ts';
import type { Spool } from './spool.ts';
import type { Database, Queryable } from './sql/database.ts';
import { MigrationError } from './sql/migrate.ts';
import { writeBatch } from './sql/write-batch.ts';
import {
  FLUSH_MS,
  type HistoryBatch,
  hasRows,
  initialWriterState,
  isBusy,
  SCHEMA_NOT_READY,
  stepWriter,
  type WriterEffect,
  type WriterEvent,
  type WriterState,
} from './writer-state.ts';

/** Queues history rows and writes each to Postgres exactly once. */
export interface HistoryWriter {
  /** Returns at once. */
  write(records: readonly HistoryRecord[]): void;
  status(): SinkStatus;
  close(timeoutMs: number): Promise<void>;
}

interface HistoryWriterOptions {
  database: Database;
  spool: Spool<HistoryRecord[]>;
  log: Logger;
  /** Migrations: runs before the first write, and again until it succeeds. */
  prepareSchema?: () => Promise<unknown>;
  /** How long rows are collected into one batch. */
  flushMs?: number;
  /** Epoch milliseconds. */
  now?: () => number;
  /**
   * How long a write waits for `prepareSchema`, which may take minutes; then rows go to the spool. Longer than the
   * default connection timeout, so that a refused connection is reported as such.
   */
  prepareTimeoutMs?: number;
}

const PREPARE_TIMEOUT_MS = 4_000;
/** A write takes milliseconds. A server that hangs must not keep rows from the spool. */
const WRITE_TIMEOUT_MS = 10_000;
const DOWN_AFTER_FAILURES = 5;

/** Runs the effects that stepWriter decides on. */
export function createHistoryWriter(options: HistoryWriterOptions): HistoryWriter {
  const { spool, log, flushMs = FLUSH_MS, now = Date.now } = options;
  const write = createBatchWrite(options);
  let state = initialWriterState(randomUUID());
  let running: Promise<void> = Promise.resolve();
  let saving: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function dispatch(event: WriterEvent): void {
    const step = stepWriter(state, event, { now: now(), flushMs });
    state = step.state;
    for (const effect of step.effects) run(effect);
  }

  function run(effect: WriterEffect): void {
    if (effect.kind === 'log') log[effect.level](effect.text);
    else if (effect.kind === 'set-timer') setTimer(effect.delayMs);
    else if (effect.kind === 'save') saving = saveAll(spool, effect.batches, log);
    else running = perform(effect, spool, write).then(dispatch);
  }

  /** Keeps a timer that is already set. */
  function setTimer(delayMs: number): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      startTurn();
    }, delayMs).unref();
  }

  const startTurn = (): void => dispatch({ kind: 'turn', spoolIsEmpty: spool.size().rows === 0 });

  async function turnFinished(): Promise<void> {
    while (isBusy(state)) await running;
  }

  return {
    write: (records) => dispatch({ kind: 'rows', records }),
    status: () => statusOf(state, spool.size()),
    async close(timeoutMs) {
      dispatch({ kind: 'closing' });
      clearTimeout(timer);
      await waitAtMost(turnFinished(), timeoutMs);
      if (!isBusy(state) && hasRows(state)) {
        startTurn();
        await waitAtMost(turnFinished(), timeoutMs);
      }
      dispatch({ kind: 'closed' });
      await saving;
    },
  };
}

function statusOf(state: WriterState, spooled: { rows: number; droppedRows: number }): SinkStatus {
  const { failures, waiting, held, dropped, lastSuccess, lastError, spoolError } = state;
  return {
    state: failures === 0 ? 'ok' : failures > DOWN_AFTER_FAILURES ? 'down' : 'retrying',
    pending: waiting.length + (held?.rows ?? 0) + spooled.rows,
    dropped: dropped + spooled.droppedRows,
    lastSuccess,
    lastError: [lastError, spoolError].filter(Boolean).join('; ') || null,
  };
}

/** Never rejects: a failure is an event as well. */
function perform(
  effect: Exclude<WriterEffect, { kind: 'log' | 'set-timer' | 'save' }>,
  spool: Spool<HistoryRecord[]>,
  write: (batch: HistoryBatch) => Promise<void>,
): Promise<WriterEvent> {
  switch (effect.kind) {
    case 'write':
      return write(effect.batch).then(
        () => ({ kind: 'written' }),
        (error: unknown) => ({ kind: 'write-failed', error }),
      );
    case 'spool':
      return spool.append(effect.batch).then(
        () => ({ kind: 'spooled' }),
        (error: unknown) => ({ kind: 'spool-failed', error }),
      );
    case 'read-spool':
      return spool.peek().then(
        (batch) => ({ kind: 'spool-read', batch }),
        (error: unknown) => ({ kind: 'replay-failed', error }),
      );
    case 'acknowledge':
      return spool.acknowledge().then(
        () => ({ kind: 'acknowledged' }),
        (error: unknown) => ({ kind: 'replay-failed', error }),
      );
  }
}

async function saveAll(
  spool: Spool<HistoryRecord[]>,
  batches: readonly HistoryBatch[],
  log: Logger,
): Promise<void> {
  for (const batch of batches) {
    await spool.append(batch).catch((error: unknown) => {
      log.error(`${batch.rows} history rows are lost: the spool is not writable (${errorMessage(error)})`);
    });
  }
}

/** Writes one batch in a transaction, after the migrations. */
function createBatchWrite(options: HistoryWriterOptions): (batch: HistoryBatch) => Promise<void> {
  const { database, prepareSchema = async () => {}, prepareTimeoutMs = PREPARE_TIMEOUT_MS } = options;
  const ensureSchema = runOnceWithin(prepareSchema, prepareTimeoutMs);
  return async (batch) => {
    await ensureSchema();
    const work = (client: Queryable) => writeBatch(client, batch.id, batch.body);
    await database.transaction(work, { timeoutMs: WRITE_TIMEOUT_MS });
  };
}

/**
 * Runs `work` until it succeeds once. The returned function rejects with the error of the last attempt, or with a
 * MigrationError when the first attempt is still running after `timeoutMs`; it then continues in the background.
 */
function runOnceWithin(work: () => Promise<unknown>, timeoutMs: number): () => Promise<void> {
  const last = { succeeded: false, error: null as unknown };
  let attempt: Promise<void> | null = null;
  const start = (): Promise<void> =>
    work()
      .then(
        () => {
          last.succeeded = true;
        },
        (error: unknown) => {
          last.error = error;
        },
      )
      .finally(() => {
        attempt = null;
      });
  return async () => {
    if (last.succeeded) return;
    attempt ??= start();
    await waitAtMost(attempt, timeoutMs);
    if (!last.succeeded) throw last.error ?? new MigrationError(SCHEMA_NOT_READY);
  };
}
