import { type Intent, isForgotten, parseIntents } from './intent.ts';
import { readJson, writeWhole } from './whole-file.ts';

/** All that was asked for, in memory and on disk. */
export interface Book {
  readonly intents: Map<string, Intent>;
  /** Writes all of it and, where there is one, a wish that is not in force before it is written. */
  save(wish?: readonly [key: string, intent: Intent]): Promise<void>;
  /** When nothing is being written any more. */
  settled(): Promise<void>;
}

/** Throws when there is a file that cannot be read. */
export async function openBook(path: string, now: () => number): Promise<Book> {
  const intents = parseIntents(await readJson(path));
  let saving: Promise<void> = Promise.resolve();
  let underway: readonly [string, Intent] | undefined;

  function write(): Promise<void> {
    for (const [key, intent] of intents) {
      if (isForgotten(intent, now())) intents.delete(key);
    }
    const text = JSON.stringify(Object.fromEntries(underway ? [...intents, underway] : intents), null, 1);
    saving = saving.catch(() => {}).then(() => writeWhole(path, text));
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
    settled: () => saving.catch(() => {}),
  };
}
