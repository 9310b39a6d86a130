import type { Change } from '../core/state.ts';
import type { InstanceRecord } from './instance-record.ts';

/** Why something was done, and for whom. */
export interface Reason {
  reason: string;
  /** Who asked, for the audit trail. Absent: nobody did, the agent acts by itself. */
  by?: string;
}

export function createChange(
  record: InstanceRecord,
  kind: Change['kind'],
  at: number,
  asked: Reason,
  moved: { from?: string; to?: string } = {},
): Change {
  const { service, id } = record.instance;
  const by = asked.by === undefined ? {} : { by: asked.by };
  return { at, service, instance: id, kind, ...moved, reason: asked.reason, ...by };
}
