import type { InstanceState } from './snapshot/snapshot.ts';

interface ServiceMember {
  service: string;
  id: string;
}

/** Whether an instance in this state takes new sessions. */
export const isServingState = (state: InstanceState): boolean => state === 'up' || state === 'probation';

/** Whether no other instance of the service takes new sessions. */
export function isLastServing(
  { service, id }: ServiceMember,
  instances: Iterable<ServiceMember & { state: InstanceState }>,
): boolean {
  for (const other of instances) {
    if (other.service === service && other.id !== id && isServingState(other.state)) return false;
  }
  return true;
}
