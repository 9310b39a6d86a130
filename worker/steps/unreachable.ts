import type { Candidate } from '../../shared/balance/candidate.ts';
import type { FailoverContext } from './failover-context.ts';

const NONE: readonly Candidate[] = [];
/**
 * A failed gateway is tried again by an idempotent request, which loses nothing when the gateway still fails. Other
 * requests wait this much longer.
 */
const NON_IDEMPOTENT_EXTRA_WAIT_MS = 30_000;

/**
 * Instances that this request cannot reach: their site has no usable gateway, and they have no direct address. Empty
 * when the service has one site, because then there is no alternative.
 */
export function unreachableCandidates({
  incoming,
  service,
  edge,
  failedGateways,
}: FailoverContext): readonly Candidate[] {
  if (service.sites.length < 2) return NONE;
  const at = incoming.idempotent ? edge.now() : edge.now() - NON_IDEMPOTENT_EXTRA_WAIT_MS;
  const isUsable = (gateway: string): boolean =>
    !failedGateways.includes(gateway) && edge.gateways.isInUse(gateway, at);
  const unreachableSites = service.sites.filter(
    ({ gateways }) => gateways.length > 0 && !gateways.some(isUsable),
  );
  if (unreachableSites.length === 0) return NONE;
  return service.candidates.filter(
    ({ direct, site }) => direct === null && unreachableSites.some((one) => one.site === site),
  );
}
