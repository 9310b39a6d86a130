import { setTimeout as sleep } from 'node:timers/promises';
import type { Document } from 'yaml';
import { startLoad } from '../harness/load.ts';
import { startStack, withoutLimits } from '../harness/stack.ts';
import { edgeStatus } from '../harness/status.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** No snapshot: the edge sends every request to HAProxy without choosing an instance. */
export const emptyKv: Scenario = {
  name: 'empty-kv',
  description: 'the edge has no snapshot: it sends every request to HAProxy',
  async run() {
    const findings = new ScenarioFindings();
    // The agent does not publish: neither KV nor the Hub gets a snapshot.
    const test = await startStack({ edit: unpublished });
    try {
      const status = await edgeStatus(test.stack);
      findings.check(!/"epoch":[1-9]/.test(status), `the edge has no snapshot`);
      const seen = new Set<string>();
      for (let call = 0; call < 10; call++) {
        const response = await fetch(`${test.stack.edge}/api/v1/auth/x`);
        await response.body?.cancel();
        seen.add(response.headers.get('x-acgs-instance') ?? `status ${response.status}`);
        await sleep(20);
      }
      findings.check(seen.size === 2, `ten calls were answered by ${[...seen].join(', ')}`);
      const result = await startLoad(`${test.stack.edge}/api/v1/auth/x`, { seconds: 10 }).result;
      findings.check(
        result.failed === 0,
        `${result.failed} of ${result.requests} requests failed (${result.detail})`,
      );
    } finally {
      await test.stop();
    }
    return findings.outcome;
  },
};

function unpublished(document: Document): void {
  withoutLimits(document);
  document.setIn(['edge', 'publish', 'ingest'], false);
}
