import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{shared,worker,agent,dev,bench,deploy}/**/*.test.ts', 'test/**/*.test.ts'],
    // Real servers are started by these tests; two cores hold two files at a time without starving any.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
    globalSetup: ['test/setup.ts'],
  },
});
