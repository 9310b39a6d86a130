import { vi } from 'vitest';

const PATIENCE_MS = 60_000;
const PAUSE_MS = 20;

/** Until the expectation holds. Patient, because a busy machine is slow and that is no failure. */
export const eventually = <T>(expectation: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(expectation, { timeout: PATIENCE_MS, interval: PAUSE_MS });
