/** A slice is short enough that a probe that becomes due in it starts on time. */
const SLICE_MS = 4;

/**
 * Runs work over thousands of instances in slices of a few milliseconds, and lets the event loop start probes and answer
 * requests between them. `steps` yields where the work may be interrupted: after at most a millisecond. What it reads may
 * change between two steps.
 */
export async function inSlices<T>(
  steps: Iterator<unknown, T>,
  clock: () => number = () => performance.now(),
): Promise<T> {
  for (;;) {
    const end = clock() + SLICE_MS;
    do {
      const { done, value } = steps.next();
      if (done) return value;
    } while (clock() < end);
    await nextTurn();
  }
}

/** Resolves after the event loop has handled what is due. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs the same work at once. */
export function finish<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
