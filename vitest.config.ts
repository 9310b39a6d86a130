import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{shared,worker,agent,dev,bench,deploy}/**/*.test.ts', 'test/**/*.test.ts'],
    // These tests start real servers. Two cores run two files at a time without timeouts.
    maxWorkers: 2,
    // Far above the duration of any test: a busy machine must not fail a test.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // These tests time real servers on shared hardware. CI retries a failed test, and the last lines of the run name it.
    // On a developer's machine the first failure counts.
    retry: process.env.CI ? 2 : 0,
    reporters: ['default', ...(process.env.CI ? ['./test/retried-reporter.ts'] : [])],
    globalSetup: ['test/setup.ts'],
  },
});
