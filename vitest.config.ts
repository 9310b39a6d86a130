import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{shared,worker,agent,dev,bench,deploy}/**/*.test.ts', 'test/**/*.test.ts'],
    // Real servers are started by these tests; two cores hold two files at a time without starving any.
    maxWorkers: 2,
    // Far above what any test takes: they wait for what they test, and a busy machine is no fault of the code.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // These tests time real servers on shared hardware. Where nobody looks on, one that fails is tried again before it
    // turns the whole run red, and the report names it as retried; at one's desk the first failure counts.
    retry: process.env.CI ? 2 : 0,
    globalSetup: ['test/setup.ts'],
  },
});
