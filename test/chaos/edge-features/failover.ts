import { setTimeout as sleep } from 'node:timers/promises';
import { countOccurrences } from '../http-request.ts';
import type { ScenarioFindings } from '../scenario.ts';
import type { TestBed } from './test-bed.ts';

const STRATEGIES = ['immediate', 'graceful', 'circuit_break', 'load_shed'] as const;
const SECONDS = 6;

const nameOf = (strategy: string): string => `fails-${strategy.replace('_', '-')}`;

export const failoverServices = Object.fromEntries(
  STRATEGIES.map((strategy) => [nameOf(strategy), `failover: { strategy: ${strategy} }`]),
);

/** Kills nginx while four clients per failover strategy send requests. */
export async function failoverFeature(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  const ends = Date.now() + SECONDS * 1_000;
  const load = STRATEGIES.map(async (strategy) => {
    const seen: string[] = [];
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (Date.now() < ends) {
          const { status, error } = await testBed.request(`/${nameOf(strategy)}/`);
          seen.push(error ?? String(status));
          await sleep(10);
        }
      }),
    );
    return seen;
  });
  await sleep(1_500);
  await testBed.kill('nginx');
  const results = await Promise.all(load);
  for (const [index, strategy] of STRATEGIES.entries()) {
    const seen = results[index] ?? [];
    findings.check(
      seen.length > 0 && seen.every((status) => status === '200'),
      `${strategy}, nginx killed -9 under load: ${countOccurrences(seen)}`,
    );
  }
  await testBed.restart('nginx');
}
