import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { SinkStatus } from '../core/sink.ts';
import { isPermanentError } from './permanent-error.ts';
import type { HistoryRecord } from './records.ts';
import type { Spool } from './spool.ts';
import type { SpoolRecord } from './spool-file.ts';
import type { Database, Queryable } from './sql/database.ts';
import { postgresErrorHint } from './sql/error-hints.ts';
import { MigrationError } from './sql/migrate.ts';
import { writeBatch } from './sql/write-batch.ts';

/** Takes history rows at once and brings them into Postgres sooner or later, each exactly once. */
export interface HistoryWriter {
  write(records: readonly HistoryRecord[]): void;
  status(): SinkStatus;
  close(timeoutMs: number): Promise<void>;
}

export interface HistoryWriterOptions {
  database: Database;
  spool: Spool<HistoryRecord[]>;
  log: Logger;
  /** Run once before the first batch, and again until it succeeds: migrations. */
  prepareSchema?: () => Promise<unknown>;
  /** How long rows are gathered into one batch. */
  flushMs?: number;
  now?: () => number;
  /**
   * How long a turn waits for `prepare`: longer than a connection is tried, unless the URL says otherwise. Migrations may
   * take minutes: meanwhile rows go to the disk.
   */
  prepareTimeoutMs?: number;
}

const MAX_BATCH_ROWS = 2_000;
/** In memory only while neither Postgres nor the disk takes them. */
const MAX_WAITING_ROWS = 50_000;
const MAX_BACKOFF_MS = 5_000;
/** A batch takes milliseconds; a server that hangs must not keep rows from the disk. */
const DELIVER_MS = 10_000;

const STILL_PREPARING = 'the schema is still being brought up to date';

type HistoryBatch = SpoolRecord<HistoryRecord[]>;

const gather = (body: HistoryRecord[]): HistoryBatch => ({ id: randomUUID(), rows: body.length, body });

/**
 * While Postgres answers and the spool is empty, batches go straight in. Otherwise they go to the spool first, so that
 * order is kept and a crash loses nothing, and are replayed from there. A commit whose answer was lost is safe either
 * way: the batch's id tells.
 */
export function createHistoryWriter(options: HistoryWriterOptions): HistoryWriter {
  const {
    database,
    spool,
    log,
    prepareSchema: prepare = async () => {},
    flushMs = 500,
    now = Date.now,
  } = options;
  const { prepareTimeoutMs: prepareMs = 4_000 } = options;
  const waiting: HistoryRecord[] = [];
  const status = { dropped: 0, lastSuccess: null as number | null, lastError: null as string | null };
  /** Taken from `waiting`, in nobody's safe keeping yet. */
  let held: HistoryBatch | null = null;
  /** Rows of the batch in hand that can never be written: told of and counted once, however often the rest is tried. */
  const refused = new Set<string>();
  let prepared = false;
  let preparing: Promise<unknown> | null = null;
  let prepareError: Error | null = null;
  /** What the log has told of this outage. */
  let toldOf: string | null = null;
  /** Of the disk alone. */
  let diskError: string | null = null;
  let failures = 0;
  let closed = false;
  let running: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (delayMs: number): void => {
    if (closed || timer) return;
    timer = setTimeout(() => {
      timer = undefined;
      run();
    }, delayMs);
    timer.unref();
  };

  function run(): void {
    if (running) return;
    running = cycle()
      // Such as a segment that cannot be read.
      .catch((error: Error) => failed(`spool: ${error.message}`))
      .finally(() => {
        running = null;
        if (failures > 0) schedule(Math.min(100 * 2 ** failures, MAX_BACKOFF_MS));
        else if (held || waiting.length > 0) schedule(flushMs);
      });
  }

  function failed(error: string): void {
    failures += 1;
    status.lastError = error;
  }

  /** One turn: what waits in memory is made safe, then as much as Postgres takes is brought in, the oldest first. */
  async function cycle(): Promise<void> {
    while (held || waiting.length > 0) {
      held ??= gather(waiting.splice(0, MAX_BATCH_ROWS));
      const direct = failures === 0 && spool.size().rows === 0;
      // With a full disk too the spool is to be emptied: nothing else would make room.
      if (!(direct && (await bringIn(held))) && !(await keep(held))) break;
      held = null;
    }
    for (let record = await spool.peek(); record; record = await spool.peek()) {
      if (!(await bringIn(record))) return;
      await spool.acknowledge();
      if (closed) return;
    }
    if (held && (await bringIn(held))) held = null;
  }

  /** To the disk. False when that fails too: the batch stays in memory, under its id. */
  async function keep(batch: HistoryBatch): Promise<boolean> {
    try {
      await spool.append(batch);
    } catch (cause) {
      const { message } = cause as Error;
      if (!diskError) log.error(`the spool cannot be written (${message}); history rows wait in memory`);
      diskError = `spool: ${message}`;
      failures += 1;
      return false;
    }
    if (diskError) log.info('the spool can be written again');
    diskError = null;
    return true;
  }

  /** Migrations, once. They go on in the background when they take longer than a turn may. */
  async function prepareOnce(): Promise<void> {
    if (prepared) return;
    preparing ??= prepare()
      .then(
        () => {
          prepared = true;
        },
        (error: Error) => {
          prepareError = error;
        },
      )
      .finally(() => {
        preparing = null;
      });
    await within(preparing, prepareMs);
    if (!prepared) throw prepareError ?? new MigrationError(STILL_PREPARING);
  }

  /** A whole batch. True when it is in but for what can never be. */
  async function bringIn(batch: HistoryBatch): Promise<boolean> {
    const done = await deliver(batch);
    if (done) refused.clear();
    return done;
  }

  /** True when the batch is in, or can never be. */
  async function deliver(batch: HistoryBatch): Promise<boolean> {
    try {
      await prepareOnce();
      const write = (client: Queryable) => writeBatch(client, batch.id, batch.body);
      await database.transaction(write, { timeoutMs: DELIVER_MS });
    } catch (cause) {
      const error = cause as Error;
      if (!isPermanentError(error)) {
        const words = error.message || String((error as NodeJS.ErrnoException).code);
        // One of migrations says what to do by itself.
        const told = error instanceof MigrationError ? words : `${words}: ${postgresErrorHint(error)}`;
        // That migrations take long is no reason yet: why they fail is told once it is known.
        const isFirst = failures === 0 || (toldOf === STILL_PREPARING && words !== STILL_PREPARING);
        if (isFirst) {
          log.warn(`Postgres takes no history, rows go to the spool (${told})`);
          toldOf = words;
        }
        failed(words);
        return false;
      }
      if (batch.body.length > 1) return deliverHalves(batch);
      status.lastError = error.message;
      if (refused.has(batch.id)) return true;
      refused.add(batch.id);
      log.error(`Postgres refuses ${batch.rows} history rows for good: ${error.message}`);
      status.dropped += batch.rows;
      return true;
    }
    if (failures > 0) log.info('Postgres takes history again; the spool is being replayed');
    failures = 0;
    // Nothing needs the disk now; the next outage tells whether it can be written.
    diskError = null;
    Object.assign(status, { lastSuccess: now(), lastError: null });
    return true;
  }

  /** One row that can never be written must not take the others with it. Ids are the same at every try. */
  async function deliverHalves({ id, body }: HistoryBatch): Promise<boolean> {
    const middle = Math.floor(body.length / 2);
    for (const [name, half] of [
      ['a', body.slice(0, middle)],
      ['b', body.slice(middle)],
    ] as const) {
      if (!(await deliver({ id: `${id}/${name}`, rows: half.length, body: half }))) return false;
    }
    return true;
  }

  return {
    write(records) {
      waiting.push(...records);
      if (waiting.length > MAX_WAITING_ROWS) {
        if (status.dropped === 0)
          log.error('history rows are lost: neither Postgres nor the spool takes them');
        status.dropped += waiting.length - MAX_WAITING_ROWS;
        waiting.splice(0, waiting.length - MAX_WAITING_ROWS);
      }
      schedule(waiting.length >= MAX_BATCH_ROWS ? 0 : flushMs);
    },
    status() {
      const { rows, droppedRows } = spool.size();
      return {
        state: failures === 0 ? 'ok' : failures > 5 ? 'down' : 'retrying',
        pending: waiting.length + (held?.rows ?? 0) + rows,
        dropped: status.dropped + droppedRows,
        lastSuccess: status.lastSuccess,
        lastError: [status.lastError, diskError].filter(Boolean).join('; ') || null,
      };
    },
    async close(timeoutMs) {
      closed = true;
      clearTimeout(timer);
      await within(
        running?.catch(() => {}),
        timeoutMs,
      );
      // What is still in memory goes in if Postgres answers, and to the disk if it does not. Never two turns at once.
      if (!running && (held || waiting.length > 0))
        await within(
          cycle().catch(() => {}),
          timeoutMs,
        );
      if (held) await keep(held);
      if (waiting.length > 0) await keep(gather(waiting.splice(0)));
    },
  };
}

/** Waits for it, but not longer. Throws what it throws. */
async function within(work: Promise<unknown> | undefined, timeoutMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
