import { afterAll, beforeAll, beforeEach } from 'vitest';

/**
 * `beforeAll` and `afterAll` for what the tests of a file share. A test that runs again, as CI retries a failed one, first
 * gets everything new: what its failed attempt left behind must not decide the next one.
 */
export function useServers(start: () => Promise<unknown>, stop: () => Promise<unknown>): void {
  const attempted = new Set<string>();
  beforeAll(async () => void (await start()));
  beforeEach(async ({ task }) => {
    if (attempted.has(task.id)) {
      await stop();
      await start();
    }
    attempted.add(task.id);
  });
  afterAll(async () => void (await stop()));
}
