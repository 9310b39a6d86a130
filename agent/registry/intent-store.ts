import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import { type Intent, isExpiredRemoval, parseIntents } from './intent.ts';

/** All intents, in memory and on disk. */
export interface IntentStore {
  readonly intents: Map<string, Intent>;
  /** Writes all intents, and `pending`, which takes effect only after it is written. */
  save(pending?: readonly [key: string, intent: Intent]): Promise<void>;
  /** Resolves when no write is in progress. */
  whenIdle(): Promise<void>;
}

/** Throws if the file exists and cannot be read. */
export async function openIntentStore(path: string, now: () => number): Promise<IntentStore> {
  const intents = parseIntents(await readJsonFile(path));
  const queue = createSerialQueue();
  let pending: readonly [string, Intent] | undefined;

  function write(): Promise<void> {
    for (const [key, intent] of intents) {
      if (isExpiredRemoval(intent, now())) intents.delete(key);
    }
    const text = JSON.stringify(Object.fromEntries(pending ? [...intents, pending] : intents), null, 1);
    return queue.add(() => writeFileAtomic(path, text));
  }

  return {
    intents,
    async save(next) {
      if (!next) return write();
      // Other writes meanwhile must include it too.
      pending = next;
      await write().finally(() => {
        pending = undefined;
      });
    },
    whenIdle: queue.idle,
  };
}
