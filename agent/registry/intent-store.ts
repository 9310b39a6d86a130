import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import { type Intent, isExpiredRemoval, parseIntents } from './intent.ts';

/** All that was asked for, in memory and on disk. */
export interface IntentStore {
  readonly intents: Map<string, Intent>;
  /** Writes all of it and, where there is one, a wish that is not in force before it is written. */
  save(wish?: readonly [key: string, intent: Intent]): Promise<void>;
  /** When nothing is being written any more. */
  whenIdle(): Promise<void>;
}

/** Throws when there is a file that cannot be read. */
export async function openIntentStore(path: string, now: () => number): Promise<IntentStore> {
  const intents = parseIntents(await readJsonFile(path));
  let saving: Promise<void> = Promise.resolve();
  let underway: readonly [string, Intent] | undefined;

  function write(): Promise<void> {
    for (const [key, intent] of intents) {
      if (isExpiredRemoval(intent, now())) intents.delete(key);
    }
    const text = JSON.stringify(Object.fromEntries(underway ? [...intents, underway] : intents), null, 1);
    saving = saving.catch(() => {}).then(() => writeFileAtomic(path, text));
    return saving;
  }

  return {
    intents,
    async save(wish) {
      if (!wish) return write();
      // What else is written meanwhile must not leave it out again.
      underway = wish;
      await write().finally(() => {
        underway = undefined;
      });
    },
    whenIdle: () => saving.catch(() => {}),
  };
}
