import { balancing, balancingServices } from './edge-features/balancing.ts';
import { explainAndMetrics } from './edge-features/explain-and-metrics.ts';
import { failoverFeature, failoverServices } from './edge-features/failover.ts';
import { limitServices, limits } from './edge-features/limits.ts';
import { sessionServices, sessions } from './edge-features/sessions.ts';
import { startTestBed } from './edge-features/test-bed.ts';
import { trust, trustServices } from './edge-features/trust.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** Tests each feature of the edge on the running stack, with third-party servers as instances. */
export const edgeFeatures: Scenario = {
  name: 'parts',
  description:
    'every feature of the edge on the running stack, with nginx, lighttpd and a demo instance for each service',
  async run() {
    const findings = new ScenarioFindings();
    const testBed = await startTestBed({
      ...balancingServices,
      ...sessionServices,
      ...limitServices,
      ...failoverServices,
      ...trustServices,
    });
    try {
      for (const part of [balancing, sessions, limits, failoverFeature, trust, explainAndMetrics])
        await part(testBed, findings);
    } finally {
      await testBed.stop();
    }
    return findings.outcome;
  },
};
