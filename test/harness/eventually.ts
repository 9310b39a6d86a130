import { vi } from 'vitest';

const TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/** Until the expectation holds. Patient, because a busy machine is slow and that is no failure. */
export const eventually = <T>(expectation: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(expectation, { timeout: TIMEOUT_MS, interval: POLL_MS });
