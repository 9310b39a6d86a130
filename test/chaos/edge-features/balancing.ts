import { countOccurrences } from '../http-request.ts';
import type { ScenarioFindings } from '../scenario.ts';
import { answeringServer, type TestBed } from './test-bed.ts';

const REQUESTS = 60;

/** Maps a service to its strategy and the expected distribution over the three instances. */
const STRATEGIES: Record<string, [strategy: string, isExpected: (counts: Map<string, number>) => boolean]> = {
  robin: ['round_robin', (counts) => [...counts.values()].every((count) => count === REQUESTS / 3)],
  weighted: ['weighted_round_robin', (counts) => counts.get('nginx') === REQUESTS / 2],
  connections: ['least_connections', (counts) => counts.size === 3],
  latency: ['least_response_time', (counts) => counts.size === 3],
  hashed: ['consistent_hash', (counts) => counts.size === 3],
  random: ['random', (counts) => counts.size === 3],
};

export const balancingServices = Object.fromEntries(
  Object.entries(STRATEGIES).map(([name, [strategy]]) => [name, `strategy: ${strategy}`]),
);

export async function balancing(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  for (const [name, [strategy, isExpected]] of Object.entries(STRATEGIES)) {
    const seen: string[] = [];
    for (let client = 0; client < REQUESTS; client++) {
      seen.push(
        answeringServer(
          await testBed.request(`/${name}/`, { headers: { 'x-acgs-sim-client': `198.51.100.${client}` } }),
        ),
      );
    }
    const counts = new Map([...Map.groupBy(seen, (one) => one)].map(([one, all]) => [one, all.length]));
    findings.check(isExpected(counts), `${strategy}: ${countOccurrences(seen)}`);
  }
  const headers = { 'x-acgs-sim-client': '198.51.100.7' };
  const again = new Set<string>();
  for (let i = 0; i < 10; i++) again.add(answeringServer(await testBed.request('/hashed/', { headers })));
  findings.check(again.size === 1, `consistent_hash: ten requests of one client: ${[...again].join(', ')}`);
}
