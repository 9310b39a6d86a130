import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../shared/error-message.ts';
import type { InstanceSourceReader, SourceList } from './source.ts';

export interface WatcherOptions {
  reader: InstanceSourceReader;
  /** The longest time between two reads, milliseconds. */
  intervalMs: number;
  /** Whether this agent reads the source now. */
  isReading(): boolean;
  onList(list: SourceList): Promise<void>;
  onFailure(problem: string): void;
  onStandby(): void;
}

export interface Watcher {
  close(): Promise<void>;
}

/** The shortest time between two reads of a source. */
const MIN_INTERVAL_MS = 1_000;

/** Reads one source for as long as the agent runs. A read that hangs ends at its deadline. */
export function startWatcher(options: WatcherOptions): Watcher {
  const { reader } = options;
  const closing = new AbortController();
  const finished = run(options, closing.signal);
  return {
    async close() {
      closing.abort();
      await finished;
      reader.close();
    },
  };
}

async function run(options: WatcherOptions, closing: AbortSignal): Promise<void> {
  const { reader } = options;
  let failures = 0;
  while (!closing.aborted) {
    if (!options.isReading()) {
      options.onStandby();
      await pause(MIN_INTERVAL_MS, closing);
      continue;
    }
    const waitMs = await readOnce(options, closing);
    if (closing.aborted) return;
    failures = waitMs === null ? failures + 1 : 0;
    await pause(MIN_INTERVAL_MS, closing);
    if (waitMs === null)
      await pause(backoffMs(failures, reader.retryWithinMs ?? options.intervalMs), closing);
    else await untilDue(options, waitMs - MIN_INTERVAL_MS, closing);
  }
}

/** Milliseconds until the next read is due; null if the list could not be read. */
async function readOnce(
  { reader, intervalMs, isReading, onList, onFailure }: WatcherOptions,
  closing: AbortSignal,
): Promise<number | null> {
  const deadline = AbortSignal.timeout(reader.deadlineMs);
  try {
    const list = await reader.read(AbortSignal.any([closing, deadline]));
    // Another agent may have become the leader during a long read.
    if (!closing.aborted && isReading()) await onList(list);
    return list.readAgainMs ?? intervalMs;
  } catch (error) {
    if (closing.aborted) return null;
    onFailure(deadline.aborted ? `no answer within ${reader.deadlineMs / 1_000} s` : errorMessage(error));
    return null;
  }
}

const backoffMs = (failures: number, intervalMs: number): number =>
  Math.min(MIN_INTERVAL_MS * 2 ** Math.min(failures, 10), intervalMs);

/** Waits until the list must be read again, or until the source reports a change. */
async function untilDue({ reader }: WatcherOptions, waitMs: number, closing: AbortSignal): Promise<void> {
  if (waitMs <= 0) return;
  if (!reader.changed) return pause(waitMs, closing);
  const done = new AbortController();
  const signal = AbortSignal.any([closing, done.signal]);
  // If the source cannot send changes now, it is read after the interval.
  const changed = reader.changed(signal).catch(() => pause(waitMs, signal));
  await Promise.race([changed, pause(waitMs, signal)]);
  done.abort();
  await changed;
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => {});
