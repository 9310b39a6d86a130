import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Names the tests that passed only on a retry, after the summary of the run: a retry must not hide a flaky test. */
export default class RetriedReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.flatMap((module) =>
      [...module.children.allTests()].filter(passedOnRetry).map((test) => lineOf(module, test)),
    );
    if (lines.length === 0) process.stdout.write('Tests that passed only on a retry: none\n');
    else process.stdout.write(`Tests that passed only on a retry: ${lines.length}\n${lines.join('')}`);
  }
}

const passedOnRetry = (test: TestCase): boolean => test.diagnostic()?.flaky === true;

function lineOf(module: TestModule, test: TestCase): string {
  const [error] = test.result().errors ?? [];
  const cause = error?.message.split('\n', 1)[0] ?? 'no message';
  return `  retried ${test.diagnostic()?.retryCount}×: ${module.relativeModuleId} > ${test.fullName}: ${cause}\n`;
}
