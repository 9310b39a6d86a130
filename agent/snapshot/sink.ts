import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { Sink, SinkStatus, Update } from '../core/sink.ts';
import type { Instance } from '../core/state.ts';
import { waitAtMost } from '../lib/with-timeout.ts';
import { createPublication, type PublicationOptions } from './publication.ts';
import {
  initialPublishSchedule,
  type PublishScheduleEffect,
  type PublishScheduleEvent,
  type PublishScheduleState,
  stepPublishSchedule,
  type WriteKind,
  type WriteOutcome,
} from './publish-schedule.ts';
import { errorWithCause } from './publisher.ts';

export interface SnapshotSinkOptions extends PublicationOptions {
  /** False on a standby. */
  mayPublish(): boolean;
}

export interface SnapshotSink extends Sink {
  /** Publishes now, or one second after the last write. */
  publishNow(): void;
  /** Allows publishing: every instance has been judged once. */
  enable(): void;
  /** The next write claims a new epoch. */
  claimEpoch(): void;
  /** Proves to the Hub that this agent is alive; costs no KV write. */
  publishHeartbeat(): void;
  /** The order that the Hub holds; null: none yet. Rejects when the Hub cannot be read. */
  latestOrder(): Promise<SnapshotOrder | null>;
  published(): { order: SnapshotOrder | null; at: number | null; kvLeftToday: number };
}

/** Kinds of change that the edge must see at once. `health` changes no routing unless `state` changes too. */
const URGENT_CHANGES = new Set([
  'state',
  'admin',
  'weight',
  'breaker',
  'outlier',
  'registered',
  'deregistered',
]);
const DOWN_AFTER_FAILURES = 5;

/** Publishes the snapshot: stepPublishSchedule decides when, createPublication does it. */
export function createSnapshotSink(options: SnapshotSinkOptions): SnapshotSink {
  const { mayPublish, log, now = Date.now, clock = () => performance.now() } = options;
  const publication = createPublication(options);
  let schedule = initialPublishSchedule;
  let instances: ReadonlyMap<string, Instance> = new Map();
  let lastSuccess: number | null = null;
  let writing: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function dispatch(event: PublishScheduleEvent): void {
    const { state, effects } = stepPublishSchedule(schedule, event, clock());
    schedule = state;
    for (const effect of effects) run(effect);
  }

  function run(effect: PublishScheduleEffect): void {
    switch (effect.kind) {
      case 'set-timer':
        clearTimeout(timer);
        timer = setTimeout(() => dispatch({ kind: 'timer', mayPublish: mayPublish() }), effect.delayMs);
        return;
      case 'clear-timer':
        clearTimeout(timer);
        return;
      case 'write':
        writing = write(effect.write).then(dispatch);
        return;
      case 'log-failure':
        log.warn({ error: effect.error }, 'snapshot not published, retrying');
        return;
    }
  }

  async function write(kind: WriteKind): Promise<WriteOutcome> {
    try {
      const outcome = await publication.write(kind, () => instances.values());
      if (outcome.kind === 'published') lastSuccess = now();
      return outcome;
    } catch (error) {
      return { kind: 'failed', error: errorWithCause(error) };
    }
  }

  async function finished(): Promise<void> {
    while (schedule.phase !== 'closed') await writing;
  }

  return {
    name: 'snapshot',
    accept(update: Update) {
      instances = update.instances;
      if (update.changes.some(({ kind }) => URGENT_CHANGES.has(kind))) dispatch({ kind: 'changed' });
    },
    publishNow: () => dispatch({ kind: 'changed' }),
    enable: () => dispatch({ kind: 'enabled' }),
    claimEpoch() {
      publication.claimEpoch();
      dispatch({ kind: 'changed' });
    },
    publishHeartbeat: () => dispatch({ kind: 'heartbeat-requested' }),
    latestOrder: () => publication.latestOrder(),
    published: () => ({
      order: publication.order(),
      at: lastSuccess,
      kvLeftToday: publication.kvLeftToday(),
    }),
    status: () => statusOf(schedule, lastSuccess),
    async close(timeoutMs) {
      dispatch({ kind: 'closed', mayPublish: mayPublish() });
      await waitAtMost(finished(), timeoutMs);
    },
  };
}

function statusOf(schedule: PublishScheduleState, lastSuccess: number | null): SinkStatus {
  const { phase, changed, failures, lastError } = schedule;
  const state = lastError === null ? 'ok' : failures > DOWN_AFTER_FAILURES ? 'down' : 'retrying';
  const pending = changed || phase === 'publishing' || phase === 'closing' ? 1 : 0;
  return { state, pending, dropped: 0, lastSuccess, lastError };
}
