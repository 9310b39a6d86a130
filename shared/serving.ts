import type { InstanceState } from './snapshot/snapshot.ts';

/** Whether an instance in this state takes new sessions. The last serving instance of a service has no such peer. */
export const isServingState = (state: InstanceState): boolean => state === 'up' || state === 'probation';
