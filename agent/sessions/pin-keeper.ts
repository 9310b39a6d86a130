import type { Logger } from 'pino';
import { errorMessage } from '../../shared/error-message.ts';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import type { LiveState } from '../live/live-state.ts';
import { initialPinState, type PinEffect, type PinEvent, type PinSave, step } from './pin-state.ts';
import type { GovernanceSession } from './session.ts';
import { pinEntries } from './session-cache.ts';
import type { SessionStore } from './store.ts';

/**
 * Moves the pins of open sessions off instances that no longer serve: in memory at once, in Postgres and the live
 * state as soon as they accept it. `pin-state.ts` decides; this is its driver.
 */
export interface PinKeeper {
  /** A session was created or changed. */
  sessionChanged(session: GovernanceSession): void;
  /** Instances changed, or an operator moved a session. */
  instancesChanged(): void;
  /** Pins that the snapshot must carry. */
  overrides(): SnapshotPins;
  /** Saves what is unsaved. */
  close(): Promise<void>;
}

export interface PinKeeperOptions {
  store: SessionStore;
  live: LiveState;
  instances: () => ReadonlyMap<string, Instance>;
  log: Logger;
  isLeader: () => boolean;
  now: () => number;
  /** Called when `overrides` contains a pin that the snapshot does not carry yet. */
  onOverrides?: () => void;
  sweepMs?: number;
}

export function createPinKeeper(options: PinKeeperOptions): PinKeeper {
  const { store, live, instances, log, isLeader, now, onOverrides, sweepMs = 30_000 } = options;
  let state = initialPinState();
  let operation: Promise<void> = Promise.resolve();
  let closing = false;

  function dispatch(event: PinEvent): void {
    const context = { now: now(), leads: isLeader(), instances: () => instances().values() };
    const next = step(state, event, context);
    state = next.state;
    for (const effect of next.effects) {
      if (effect.kind === 'publish-overrides') onOverrides?.();
      else operation = perform(effect).then(dispatch);
    }
  }

  async function perform(effect: Exclude<PinEffect, { kind: 'publish-overrides' }>): Promise<PinEvent> {
    if (effect.kind === 'save') return { kind: 'saved', unsaved: await save(effect.batch) };
    try {
      return effect.kind === 'expire'
        ? { kind: 'expired', ids: await store.expire(effect.idle, now()) }
        : { kind: 'loaded', sessions: await store.listOpen(effect.limit) };
    } catch (error) {
      report(error);
      return { kind: 'failed' };
    }
  }

  /** Returns the pins that the database did not accept. */
  async function save(batch: readonly PinSave[]): Promise<readonly PinSave[]> {
    for (const [index, { id, pins, moves }] of batch.entries()) {
      try {
        await store.savePins(id, pins, moves);
      } catch (error) {
        report(error);
        return batch.slice(index);
      }
      await live.put(pinEntries(live.keys, id, pins)).catch(() => {});
    }
    return [];
  }

  function report(error: unknown): void {
    log[closing ? 'warn' : 'debug']({ error: errorMessage(error) }, 'session pins not saved');
  }

  async function untilIdle(): Promise<void> {
    while (state.phase.name !== 'idle') await operation;
  }

  const timer = setInterval(() => dispatch({ kind: 'sweep' }), sweepMs);
  timer.unref();
  dispatch({ kind: 'sweep' });

  return {
    sessionChanged: (session) => dispatch({ kind: 'session-changed', session }),
    instancesChanged: () => dispatch({ kind: 'instances-changed' }),
    overrides: () => state.overrides,
    async close() {
      clearInterval(timer);
      await untilIdle();
      closing = true;
      dispatch({ kind: 'save-requested' });
      await untilIdle();
    },
  };
}
