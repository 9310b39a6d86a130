import { randomUUID } from 'node:crypto';
import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import type { AlertRecord } from './alert.ts';
import { isSilenced, type Silence } from './silences.ts';
import type { AlertStore } from './store.ts';

/** Silences in memory, shared with the other agents through the database. They apply at once, even while it is away. */
export interface SharedSilences {
  all(): Iterable<Silence>;
  active(): Silence[];
  silences(alert: Pick<AlertRecord, 'rule' | 'service'>): boolean;
  add(silence: Omit<Silence, 'id'>): Silence;
  remove(id: string): boolean;
  /** Starts to write local changes and then to read what the other agents wrote. */
  sync(): void;
  /** Resolves when the last `sync` has ended, whether or not it succeeded. */
  synced(): Promise<void>;
}

export function createSharedSilences({
  store,
  log,
  now,
}: {
  store: Pick<AlertStore, 'silences' | 'saveSilence' | 'removeSilence'>;
  log: Log;
  now: () => number;
}): SharedSilences {
  const silences = new Map<string, Silence>();
  /** Changes that the database has not stored yet; null: removed. */
  const unsaved = new Map<string, Silence | null>();
  const queue = createSerialQueue();

  async function exchange(): Promise<void> {
    try {
      for (const [id, silence] of unsaved) {
        await (silence ? store.saveSilence(silence) : store.removeSilence(id));
        // A silence may be removed while it is being saved.
        if (unsaved.get(id) === silence) unsaved.delete(id);
      }
      const shared = await store.silences(now());
      // A change made meanwhile is newer than what was read.
      if (unsaved.size > 0) return;
      silences.clear();
      for (const silence of shared) silences.set(silence.id, silence);
    } catch (error) {
      log.debug({ error: errorMessage(error) }, 'silences not synchronized');
    }
  }

  function sync(): void {
    void queue.add(exchange);
  }

  return {
    all: () => silences.values(),
    active: () => [...silences.values()].filter(({ until }) => until > now()),
    silences: (alert) => isSilenced(silences.values(), alert, now()),
    add(fields) {
      const silence = { id: randomUUID(), ...fields };
      silences.set(silence.id, silence);
      unsaved.set(silence.id, silence);
      sync();
      return silence;
    },
    remove(id) {
      if (!silences.delete(id)) return false;
      unsaved.set(id, null);
      sync();
      return true;
    },
    sync,
    synced: queue.idle,
  };
}
