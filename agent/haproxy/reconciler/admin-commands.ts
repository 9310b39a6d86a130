import { type AdminState, type Change, instanceKey } from '../../core/state.ts';
import type { DesiredServers } from './desired.ts';

/**
 * The drains and maints that were requested through the agent, as `service/instance state`. Another agent of the site may
 * set and undo one of them between two polls: it is still a requested state, not a manual socket command.
 */
export interface RequestedAdmin {
  /** Since the start of the poll before, until the start of the last poll. */
  beforePoll: ReadonlySet<string>;
  /** Since the start of the last poll. */
  sincePoll: ReadonlySet<string>;
}

export const NOTHING_REQUESTED: RequestedAdmin = { beforePoll: new Set(), sincePoll: new Set() };

/** Adds the admin states that are desired now, and those that came and went in `changes`. */
export function recordRequested(
  requested: RequestedAdmin,
  desired: DesiredServers,
  changes: readonly Change[],
): RequestedAdmin {
  const sincePoll = new Set(requested.sincePoll);
  for (const [key, { admin }] of desired) if (admin !== 'ready') sincePoll.add(`${key} ${admin}`);
  for (const { kind, service, instance, to } of changes) {
    if (kind === 'admin' && to !== 'ready') sincePoll.add(`${instanceKey(service, instance)} ${to}`);
  }
  const { beforePoll } = requested;
  if (beforePoll.size + sincePoll.size <= 2 * desired.size) return { beforePoll, sincePoll };
  return { beforePoll: onlyDesired(beforePoll, desired), sincePoll: onlyDesired(sincePoll, desired) };
}

/** Drops the entries of instances that no longer exist. */
const onlyDesired = (entries: ReadonlySet<string>, desired: DesiredServers): Set<string> =>
  new Set([...entries].filter((entry) => desired.has(entry.slice(0, entry.lastIndexOf(' ')))));

export const startPoll = ({ beforePoll, sincePoll }: RequestedAdmin): RequestedAdmin => ({
  beforePoll: new Set([...beforePoll, ...sincePoll]),
  sincePoll: new Set(),
});

/** The poll succeeded; after a failed poll the earlier entries are still needed. */
export const finishPoll = ({ sincePoll }: RequestedAdmin): RequestedAdmin => ({
  beforePoll: new Set(),
  sincePoll,
});

export function wasRequested(
  { beforePoll, sincePoll }: RequestedAdmin,
  key: string,
  admin: AdminState,
): boolean {
  const entry = `${key} ${admin}`;
  return beforePoll.has(entry) || sincePoll.has(entry);
}
