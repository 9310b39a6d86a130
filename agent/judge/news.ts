import type { Change } from '../state.ts';
import type { Record } from './record.ts';

/** Why something was done, and for whom. */
export interface Asked {
  reason: string;
  /** Who asked, for the audit trail. Absent: nobody did, the agent acts by itself. */
  by?: string;
}

export function news(
  record: Record,
  kind: Change['kind'],
  at: number,
  asked: Asked,
  moved: { from?: string; to?: string } = {},
): Change {
  const { service, id } = record.instance;
  const by = asked.by === undefined ? {} : { by: asked.by };
  return { at, service, instance: id, kind, ...moved, reason: asked.reason, ...by };
}
