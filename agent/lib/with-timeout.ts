import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for `work`, but no longer than `timeoutMs`; `work` continues. Rejects as `work` does. */
export async function waitAtMost(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  const cancel = new AbortController();
  const timeout = sleep(timeoutMs, undefined, { signal: cancel.signal }).catch(() => {});
  await Promise.race([work, timeout]).finally(() => cancel.abort());
}
