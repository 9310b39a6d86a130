import type { Config } from '../../shared/config/config.ts';
import type { DiscoveryConfig } from '../../shared/config/discovery.ts';
import { type Instance, instanceKey, type Registration } from '../core/state.ts';
import { CLEARED_INTENT, type Intent, sameRegistration } from '../registry/intent.ts';
import type { IntentRequest } from '../registry/intent-driver.ts';
import { conflictDetail, conflictsWith } from '../registry/result.ts';
import type { InstanceList } from './list.ts';

/** The intents and instances of all services, by `service/instance`. */
export interface DiscoveryView {
  intents: ReadonlyMap<string, Intent>;
  instances: ReadonlyMap<string, Instance>;
}

export interface ListPlan {
  requests: IntentRequest[];
  /** Why the list removes no instance; empty if it is applied in full. */
  refusals: string[];
}

/** An idle instance is removed only after this time, in which HAProxy and the edge learn of its drain. */
const SETTLE_MS = 3_000;

type Limits = Pick<DiscoveryConfig, 'minimum' | 'maximum'>;

const isListed = (intent: Intent): boolean => intent.registration?.source !== undefined && !intent.removed;

/**
 * The changes of intents that a list requires. A complete list adds and removes; a list with problems, or one with fewer
 * than `minimum` instances, only adds.
 */
export function planList(
  { service, limits, list }: { service: string; limits: Limits; list: InstanceList },
  { intents, instances }: DiscoveryView,
  now: number,
): ListPlan {
  const present = new Map(
    [...intents].filter(([key, each]) => key.startsWith(`${service}/`) && isListed(each)),
  );
  const { accepted, conflicts } = withoutConflicts(list.registrations, instances);
  const refusals = [...list.problems, ...conflicts, ...boundProblems(list.registrations.length, limits)];
  const listed = new Map(accepted.map((each) => [instanceKey(service, each.id), each]));
  const requests: IntentRequest[] = [];
  let room = limits.maximum - present.size;
  for (const [key, registration] of listed) {
    const intent = present.get(key);
    if (!intent && room-- <= 0) continue;
    const changes = listedChanges(intent, registration);
    if (changes) requests.push([key, changes]);
  }
  if (refusals.length > 0) return { requests, refusals };
  for (const [key, intent] of present) {
    if (!listed.has(key) && !intent.leaving) requests.push([key, leavingChanges(intent, now)]);
  }
  return { requests, refusals };
}

function boundProblems(count: number, { minimum, maximum }: Limits): string[] {
  const instances = `${count} ${count === 1 ? 'instance' : 'instances'}`;
  if (count < minimum) return [`it lists ${instances}; the minimum is ${minimum}`];
  return count > maximum ? [`it lists ${instances}; the maximum is ${maximum}`] : [];
}

/** Leaves out instances that the configuration file already has, and addresses or ids that another instance uses. */
function withoutConflicts(
  registrations: readonly Registration[],
  instances: ReadonlyMap<string, Instance>,
): { accepted: Registration[]; conflicts: string[] } {
  const accepted: Registration[] = [];
  const conflicts: string[] = [];
  const ids = new Set(registrations.map(({ id }) => id));
  for (const registration of registrations) {
    const other = conflicting(registration, instances);
    if (!other) {
      accepted.push(registration);
      continue;
    }
    // An address with a new id is added after its old id is removed.
    const renamed = other.origin === 'discovered' && !ids.has(other.id);
    const ours = other.service === registration.service && (other.origin === 'file' || renamed);
    if (!ours) {
      conflicts.push(conflictDetail(other, registration));
    }
  }
  return { accepted, conflicts };
}

function conflicting(
  registration: Registration,
  instances: ReadonlyMap<string, Instance>,
): Instance | undefined {
  const same = instances.get(instanceKey(registration.service, registration.id));
  if (same && same.origin !== 'discovered') return same;
  for (const other of instances.values()) {
    if (conflictsWith(other, registration)) return other;
  }
  return undefined;
}

/** Null if the intent already matches the list. Keeps an operator's drain, maintenance and weight. */
function listedChanges(intent: Intent | undefined, registration: Registration): Partial<Intent> | null {
  const body = { ...registration, metadata: registration.metadata ?? {} };
  if (!intent) return { ...CLEARED_INTENT, registration: body };
  const changed = !sameRegistration(intent.registration, body);
  if (!changed && !intent.leaving) return null;
  return {
    registration: body,
    ...(intent.leaving && { leaving: undefined }),
    ...(intent.leaving?.drained && { admin: { state: 'ready' as const } }),
  };
}

function leavingChanges({ admin }: Intent, now: number): Partial<Intent> {
  const drained = admin === undefined || admin.state === 'ready';
  return { leaving: { since: now, drained }, ...(drained && { admin: { state: 'drain' } }) };
}

const REMOVED: Partial<Intent> = { ...CLEARED_INTENT, removed: true, unlisted: true };

/**
 * Removes an instance that left its list when it is idle, at the latest after `drain`. An instance is removed at once if
 * its service has no source any more, or if the configuration file replaces it.
 */
export function planRemovals(
  services: Config['services'],
  { intents, instances }: DiscoveryView,
  now: number,
): IntentRequest[] {
  const requests: IntentRequest[] = [];
  const listed = [...intents].filter(([, intent]) => isListed(intent));
  if (listed.length === 0) return requests;
  const fileUrls = new Set(
    Object.values(services).flatMap(({ id, instances: members }) => members.map(({ url }) => `${id} ${url}`)),
  );
  for (const [key, intent] of listed) {
    if (!intent.registration) continue;
    const { registration, leaving } = intent;
    const source = services[registration.service]?.instancesFrom;
    const instance = instances.get(key);
    const inFile = fileUrls.has(`${registration.service} ${registration.url}`);
    const replaced = inFile || instance?.origin !== 'discovered';
    const due = leaving !== undefined && source && hasDrained(leaving.since, instance, source.drain, now);
    if (!source || replaced || due) requests.push([key, REMOVED]);
  }
  return requests;
}

function hasDrained(since: number, instance: Instance | undefined, drainMs: number, now: number): boolean {
  // Another agent may have written `since`, and its clock may be ahead.
  const elapsed = Math.abs(now - since);
  const idle = !instance || instance.inflight + instance.queued === 0;
  return elapsed >= drainMs || (idle && elapsed >= SETTLE_MS);
}
