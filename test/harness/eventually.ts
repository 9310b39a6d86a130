import { vi } from 'vitest';

const TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/** Waits until the expectation holds. The timeout is long, because a busy machine is slow. */
export const eventually = <T>(
  expectation: () => T | Promise<T>,
  { timeout = TIMEOUT_MS, interval = POLL_MS } = {},
): Promise<T> => vi.waitFor(expectation, { timeout, interval });
