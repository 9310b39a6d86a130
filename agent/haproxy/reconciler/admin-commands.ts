import { type AdminState, type Change, instanceKey } from '../../core/state.ts';
import type { DesiredServers } from './desired.ts';

/**
 * The drains and maints that were asked of us. One may be given to a HAProxy by the other agent of the site, and taken
 * back, between two looks of ours: it is an order of ours all the same, and no person's on the socket.
 */
export interface AdminCommandLog {
  /** What is asked by now, and what was asked and taken back since the last time. */
  record(desired: DesiredServers, changes: readonly Change[]): void;
  /** This moment, to ask from later. */
  position(): number;
  requestedSince(mark: number, key: string, admin: AdminState): boolean;
}

export function createAdminCommandLog(): AdminCommandLog {
  const last = new Map<string, number>();
  let noted = 0;
  return {
    record(desired, changes) {
      noted += 1;
      for (const [key, { admin }] of desired) if (admin !== 'ready') last.set(`${key} ${admin}`, noted);
      for (const { kind, service, instance, to } of changes) {
        if (kind === 'admin' && to !== 'ready') last.set(`${instanceKey(service, instance)} ${to}`, noted);
      }
      if (last.size <= 2 * desired.size) return;
      // Of instances that are gone.
      for (const name of last.keys()) {
        if (!desired.has(name.slice(0, name.lastIndexOf(' ')))) last.delete(name);
      }
    },
    position: () => noted,
    requestedSince: (mark, key, admin) => (last.get(`${key} ${admin}`) ?? 0) > mark,
  };
}
