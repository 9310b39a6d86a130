import { failingOver, failoverServices } from './parts/failing-over.ts';
import { limitServices, limits } from './parts/limits.ts';
import { picking, pickingServices } from './parts/picking.ts';
import { sessionServices, sessions } from './parts/sessions.ts';
import { startStand } from './parts/stand.ts';
import { telling } from './parts/telling.ts';
import { trust, trustServices } from './parts/trust.ts';
import { Findings, type Scenario } from './scenario.ts';

/** Each part of the edge once, on the running stack, with instances we did not write. */
export const parts: Scenario = {
  name: 'parts',
  what: 'every part of the edge on the running stack, with nginx, lighttpd and a demo instance behind each service',
  async run() {
    const findings = new Findings();
    const stand = await startStand({
      ...pickingServices,
      ...sessionServices,
      ...limitServices,
      ...failoverServices,
      ...trustServices,
    });
    try {
      for (const part of [picking, sessions, limits, failingOver, trust, telling])
        await part(stand, findings);
    } finally {
      await stand.stop();
    }
    return findings.outcome;
  },
};
