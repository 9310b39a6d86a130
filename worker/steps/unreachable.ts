import type { Candidate } from '../../shared/balance/candidate.ts';
import type { ServiceView } from '../../shared/view.ts';
import type { Edge } from '../edge.ts';
import type { IncomingRequest } from './guard.ts';

const NONE: readonly Candidate[] = [];
/**
 * A gateway that was out is tried again by a request that may be repeated. One that may not waits this much longer: it
 * would be lost if the gateway is still gone.
 */
const NON_IDEMPOTENT_EXTRA_WAIT_MS = 30_000;

/**
 * Instances of sites that this request cannot reach: no gateway is in use, none has a direct address. Empty with one
 * site: where there is no choice, trying is better than not. `dead`: gateways that failed this request.
 */
export function unreachableCandidates(
  incoming: IncomingRequest,
  service: ServiceView,
  dead: readonly string[],
  edge: Edge,
  now: number,
): readonly Candidate[] {
  if (service.sites.length < 2) return NONE;
  const at = incoming.idempotent ? now : now - NON_IDEMPOTENT_EXTRA_WAIT_MS;
  const cutOff = service.sites.filter(
    ({ gateways }) =>
      gateways.length > 0 &&
      !gateways.some((gateway) => !dead.includes(gateway) && edge.gateways.isInUse(gateway, at)),
  );
  if (cutOff.length === 0) return NONE;
  return service.candidates.filter(
    ({ direct, site }) => direct === null && cutOff.some((one) => one.site === site),
  );
}
