import type { Reason } from '../core/judge-event.ts';
import type { Change } from '../core/state.ts';
import type { InstanceRecord } from './instance-record.ts';

type Difference = Pick<Change, 'kind' | 'from' | 'to'>;

export function createChange(
  record: InstanceRecord,
  difference: Difference,
  reason: Reason,
  at: number,
): Change {
  const { service, id } = record.instance;
  return {
    at,
    service,
    instance: id,
    ...difference,
    reason: reason.reason,
    ...(reason.by !== undefined && { by: reason.by }),
  };
}
