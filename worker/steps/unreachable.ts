import type { Candidate } from '../../shared/balance/candidate.ts';
import type { CompletedAttempt } from './attempt.ts';
import type { FailoverContext } from './failover-context.ts';

const NONE: readonly Candidate[] = [];
/**
 * A failed gateway is tried again by an idempotent request, which loses nothing when the gateway still fails. Other
 * requests wait this much longer.
 */
const NON_IDEMPOTENT_EXTRA_WAIT_MS = 30_000;

/**
 * Instances that this request cannot reach: their site has no usable gateway, and they have no direct address, or a
 * direct address of the site has failed too. Empty when the service has one site, because then there is no alternative.
 */
export function unreachableCandidates({
  incoming,
  service,
  edge,
  failedGateways,
  attempts,
}: FailoverContext): readonly Candidate[] {
  if (service.sites.length < 2) return NONE;
  const at = incoming.idempotent ? edge.now() : edge.now() - NON_IDEMPOTENT_EXTRA_WAIT_MS;
  const isUsable = (gateway: string): boolean =>
    !failedGateways.includes(gateway) && edge.gateways.isInUse(gateway, at);
  const unreachableSites = service.sites.filter(
    ({ gateways }) => gateways.length > 0 && !gateways.some(isUsable),
  );
  if (unreachableSites.length === 0) return NONE;
  const isUnreachableDirectly = ({ direct, site }: Candidate): boolean =>
    direct === null || attempts.some((attempt) => failedDirectly(attempt, site));
  return service.candidates.filter(
    (one) => unreachableSites.some(({ site }) => site === one.site) && isUnreachableDirectly(one),
  );
}

/** The connection failed, so the network or the host of the site may be down. */
const failedDirectly = ({ plan, result }: CompletedAttempt, site: string): boolean =>
  plan.route.kind === 'direct' && plan.site?.site === site && result.kind === 'thrown';
