import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until the value is truthy and returns it; null after the timeout. Errors are ignored. */
export async function until<T>(
  read: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  { withinMs = 60_000, everyMs = 50 } = {},
): Promise<T | null> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      const value = await read();
      if (value) return value as T;
    } catch {
      // Try again.
    }
    if (Date.now() > deadline) return null;
    await sleep(everyMs);
  }
}
