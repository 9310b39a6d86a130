import { expect, test } from 'vitest';
import { compileRateLimit } from '../../shared/limits/policy.ts';
import type { SnapshotRateLimit } from '../../shared/snapshot/snapshot.ts';
import { LimitLeases } from '../io/limit-leases.ts';
import { Limiters } from '../io/limiters.ts';
import type { RequestContext } from '../request-context.ts';
import { applyLimits } from './limit.ts';

const NOW = 1_700_000_000_000;

const perKey: SnapshotRateLimit = {
  name: 'per-key',
  key: 'header:x-api-key',
  limit: 100,
  window: 10_000,
  scope: 'global',
};
const perIp: SnapshotRateLimit = { name: 'per-ip', key: 'ip', limit: 5, window: 10_000, scope: 'edge' };

/** One isolate; `ask` sends a request of one client with a key of its choice. */
function isolate(policies: SnapshotRateLimit[]) {
  const asked: string[] = [];
  const service = { id: 'gs', limits: policies.map(compileRateLimit), policy: { affinity: { by: 'none' } } };
  const edge = {
    limiters: new Limiters(() => ({ services: new Map([['gs', service]]) })),
    leases: new LimitLeases(async (name) => {
      asked.push(name);
      return { units: 1, forMs: 1_000, remaining: 50 };
    }, 'i'),
    counters: { countLimitDecision: () => {} },
  };
  const ask = async (key: string) => {
    const incoming = {
      path: '/',
      clientAddress: '203.0.113.1',
      clientKey: '203.0.113.1',
      startedAt: NOW,
      fields: new Headers({ 'x-api-key': key }),
    };
    const context = { incoming, service, edge, ctx: { waitUntil: () => {} } };
    return (await applyLimits(context as unknown as RequestContext)).violated;
  };
  return { asked, ask };
}

test.each([
  ['first', [perIp, perKey]],
  ['last', [perKey, perIp]],
])(
  'a request that the isolate denies costs no request to the Limiter: the policy of the isolate is %s',
  async (_, policies) => {
    const { asked, ask } = isolate(policies);
    const violated: string[] = [];
    for (let i = 0; i < 1_000; i++) violated.push(...(await ask(`key-${i}`)));
    expect(asked).toHaveLength(5);
    expect(violated).toEqual(Array(995).fill('per-ip'));
  },
);

test('a policy in shadow denies nothing, so the global one decides', async () => {
  const { asked, ask } = isolate([{ ...perIp, shadow: true }, perKey]);
  for (let i = 0; i < 20; i++) expect(await ask(`key-${i}`)).toEqual([]);
  expect(asked).toHaveLength(20);
});
