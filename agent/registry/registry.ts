import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError } from '../../shared/config/load.ts';
import {
  type AdminState,
  type Change,
  type Instance,
  instanceKey,
  type Registration,
} from '../core/state.ts';
import { fileSources } from '../judge/initial.ts';
import { addressPolicyViolation, urlPolicyViolation } from './address-policy.ts';
import { type ApplyIntentDeps, applyIntent } from './apply-intent.ts';
import {
  CLEARED_INTENT,
  hasNewerHeartbeat,
  type Intent,
  intentAfterChange,
  sameRegistration,
  supersedes,
} from './intent.ts';
import { openIntentStore } from './intent-store.ts';
import { conflictDetail, conflictsWith, type RegistryResult, unknownInstance } from './result.ts';

export interface Registry {
  register(registration: Registration, by: string): Promise<RegistryResult>;
  deregister(service: string, id: string, by: string): Promise<RegistryResult>;
  setAdmin(
    service: string,
    id: string,
    admin: AdminState,
    deadline: number | undefined,
    by: string,
  ): Promise<RegistryResult>;
  setWeight(service: string, id: string, weight: number, by: string): Promise<RegistryResult>;
  heartbeat(service: string, id: string): RegistryResult;
  /** News from the judge: a registration that ran out, a drain that became maint. */
  accept(update: { changes: readonly Change[] }): void;
  /** Takes over what another agent of the site was asked for. */
  merge(theirs: ReadonlyMap<string, Intent>): void;
  /**
   * Called all the time, before anything is let run out: heartbeats that could not be heard are not held against anybody.
   * Those sent to the other agent while it is out of reach, and all of them while this process did not run.
   */
  creditMissedHeartbeats(otherOutOfReach: boolean): void;
  /** Throws ConfigError when something registered has the id or address of an instance of this file. */
  checkFile(config: Config): void;
  /** After registry.allowNetworks changed: what was registered at an address outside of it goes. */
  enforceAddressPolicy(): void;
  intents(): ReadonlyMap<string, Intent>;
  /** From now on the other agent of the site is told of every wish. */
  replicateTo(tell: (key: string, intent: Intent) => void): void;
  close(): Promise<void>;
}

export interface RegistryDeps extends ApplyIntentDeps {
  stateDir: string;
  onError(error: unknown): void;
  now?: () => number;
}

/** Stopped, asleep with its machine, or the clock was set forward: nobody was heard for so long. */
const STALL_MS = 1_000;

/** What was asked for could not be written down, and was not done. */
class UnsavedIntentError extends Error {}
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const registryPath = (stateDir: string): string => join(stateDir, 'registry.json');

export async function openRegistry(deps: RegistryDeps): Promise<Registry> {
  const now = deps.now ?? Date.now;
  const path = registryPath(deps.stateDir);
  const { intents, save, whenIdle: settled } = await openIntentStore(path, now);
  let share: (key: string, intent: Intent) => void = () => {};
  /** Registrations whose last sign of life came from the other agent. */
  const beatenElsewhere = new Set<string>();
  let aliveAt = now();

  for (const [key, intent] of intents) applyIntent(deps, key, intent);
  for (const [key, { origin, service, id }] of deps.instances()) {
    if (origin !== 'api' || intents.get(key)?.registration) continue;
    deps.apply({
      kind: 'deregister',
      service,
      instance: id,
      reason: 'its registration is no longer on record',
    });
  }

  /** On disk first, then in force: an answer "created" survives a crash right after it. */
  async function wish(key: string, by: string, change: Partial<Intent>): Promise<void> {
    const made = (last: Intent | undefined): Intent => {
      const { removed: _, expired: __, ...before } = last ?? {};
      return { ...before, ...change, by, updatedAt: after(last) };
    };
    const last = intents.get(key);
    let intent = made(last);
    await save([key, intent]).catch((error: unknown) => {
      deps.onError(error);
      throw new UnsavedIntentError(`nothing was done: ${path} cannot be written (${messageOf(error)})`, {
        cause: error,
      });
    });
    const meanwhile = intents.get(key);
    if (meanwhile !== last) {
      if (meanwhile?.removed && !change.registration) return;
      // Of the other agent, or a drain that ran out: the older wish, and this one is added to it.
      intent = made(meanwhile);
    }
    intents.set(key, intent);
    if (meanwhile !== last) save().catch(deps.onError);
    beatenElsewhere.delete(key);
    share(key, intent);
    applyIntent(deps, key, intent);
  }

  /** Newer than the wish before it, also when that was made by an agent whose clock is ahead. */
  const after = (last: Intent | undefined): number => Math.max(now(), (last?.updatedAt ?? 0) + 1);

  /** Not worth a write to disk: after a restart every registration gets a whole ttl anyway. */
  function beat(service: string, id: string): void {
    const key = instanceKey(service, id);
    const intent = intents.get(key);
    deps.apply({ kind: 'heartbeat', service, instance: id });
    if (intent?.registration?.ttl === undefined) return;
    const beaten = { ...intent, beatenAt: Math.max(now(), intent.beatenAt ?? 0) };
    intents.set(key, beaten);
    beatenElsewhere.delete(key);
    share(key, beaten);
  }

  function takeOver(key: string, intent: Intent, ours: Intent | undefined): void {
    intents.set(key, intent);
    const { registration } = intent;
    if (registration && ours?.registration && !sameRegistration(ours.registration, registration)) {
      // Taken back and registered anew while nobody told us.
      const { service, id: instance } = registration;
      deps.apply({ kind: 'deregister', service, instance, reason: 'registered anew', by: intent.by });
    }
    applyIntent(deps, key, intent, ours);
  }

  function find(service: string, id: string): Instance | undefined {
    return deps.instances().get(instanceKey(service, id));
  }

  function answer(service: string, id: string, created = false): RegistryResult {
    const instance = find(service, id);
    return instance ? { ok: true, instance, created } : unknownInstance(service, id);
  }

  /** What stands in the way of a registration, or is the same; null when nothing does. */
  function standing(registration: Registration): RegistryResult | null {
    const { service, id } = registration;
    const before = find(service, id);
    if (before) {
      const recorded = intents.get(instanceKey(service, id))?.registration;
      const same = before.origin === 'api' && sameRegistration(recorded, registration);
      if (!same) return { ok: false, why: 'conflict', detail: conflictDetail(before, registration) };
      beat(service, id);
      return answer(service, id);
    }
    const elsewhere = [...deps.instances().values()].find((other) => conflictsWith(other, registration));
    return elsewhere ? { ok: false, why: 'conflict', detail: conflictDetail(elsewhere, registration) } : null;
  }

  /** A wish is in force only once it is on disk: the next one is judged after that. */
  let turn: Promise<unknown> = Promise.resolve();
  function inTurn(work: () => Promise<RegistryResult>): Promise<RegistryResult> {
    const mine = turn.then(work, work).catch((error: unknown): RegistryResult => {
      if (error instanceof UnsavedIntentError) return { ok: false, why: 'unsaved', detail: error.message };
      throw error;
    });
    turn = mine.catch(() => {});
    return mine;
  }

  return {
    async register(registration, by) {
      const { service, id, url } = registration;
      if (!deps.config().services[service])
        return { ok: false, why: 'unknown', detail: `there is no service "${service}"` };
      const known = standing(registration);
      if (known) return known;
      const refused = await urlPolicyViolation(url, deps.config().registry.allowNetworks);
      if (refused) return { ok: false, why: 'invalid', detail: refused };
      return inTurn(async () => {
        // Another request may have registered it while the name was looked up.
        const rival = standing(registration);
        if (rival) return rival;
        const body = { ...registration, metadata: registration.metadata ?? {} };
        await wish(instanceKey(service, id), by, { registration: body });
        return answer(service, id, true);
      });
    },
    deregister: (service, id, by) =>
      inTurn(async () => {
        const instance = find(service, id);
        if (!instance) return unknownInstance(service, id);
        if (instance.origin === 'file') {
          const detail = `${id} stands in the configuration file: take it out there, or put it in maint`;
          return { ok: false, why: 'conflict', detail };
        }
        await wish(instanceKey(service, id), by, { ...CLEARED_INTENT, removed: true });
        return { ok: true, instance, created: false };
      }),
    setAdmin: (service, id, state, deadline, by) =>
      inTurn(async () => {
        if (!find(service, id)) return unknownInstance(service, id);
        await wish(instanceKey(service, id), by, {
          admin: { state, ...(deadline === undefined ? {} : { deadline }) },
        });
        return answer(service, id);
      }),
    setWeight: (service, id, weight, by) =>
      inTurn(async () => {
        if (!find(service, id)) return unknownInstance(service, id);
        await wish(instanceKey(service, id), by, { weight });
        return answer(service, id);
      }),
    heartbeat(service, id) {
      const instance = find(service, id);
      if (!instance) return unknownInstance(service, id);
      if (instance.expiresAt === undefined) {
        return {
          ok: false,
          why: 'conflict',
          detail: `${id} ${instance.origin === 'file' ? 'stands in the configuration file' : 'was registered without a ttl'}: it needs no heartbeat`,
        };
      }
      beat(service, id);
      return answer(service, id);
    },
    accept({ changes }) {
      for (const change of changes) {
        const key = instanceKey(change.service, change.instance);
        const intent = intents.get(key);
        const next = intent && intentAfterChange(intent, change, after(intent));
        if (!(next ?? intent)?.registration) beatenElsewhere.delete(key);
        if (!next) continue;
        intents.set(key, next);
        share(key, next);
        save().catch(deps.onError);
      }
    },
    merge(theirs) {
      let news = false;
      for (const [key, intent] of theirs) {
        const ours = intents.get(key);
        const isBeat = ours !== undefined && hasNewerHeartbeat(intent, ours);
        const isNew = !ours?.registration && supersedes(intent, ours);
        if (intent.registration?.ttl !== undefined && (isBeat || isNew)) beatenElsewhere.add(key);
        if (supersedes(intent, ours)) {
          news = true;
          const beatenAt = Math.max(ours?.beatenAt ?? 0, intent.beatenAt ?? 0);
          takeOver(key, beatenAt > 0 ? { ...intent, beatenAt } : intent, ours);
        } else if (isBeat) {
          const { service = '', id = '' } = ours.registration ?? {};
          intents.set(key, { ...ours, beatenAt: intent.beatenAt });
          deps.apply({ kind: 'heartbeat', service, instance: id });
        }
      }
      if (news) save().catch(deps.onError);
    },
    creditMissedHeartbeats(otherOutOfReach) {
      const heldUp = now() - aliveAt > STALL_MS;
      aliveAt = now();
      if (!heldUp && !otherOutOfReach) return;
      for (const [key, { service, id: instance, expiresAt }] of [...deps.instances()]) {
        if (expiresAt === undefined || !(heldUp || beatenElsewhere.has(key))) continue;
        deps.apply({ kind: 'heartbeat', service, instance });
      }
    },
    checkFile(config) {
      const registered = [...deps.instances().values()].filter(
        ({ origin, service }) => origin === 'api' && config.services[service],
      );
      const problems = [...fileSources(config).values()].flatMap((source) => {
        const other = registered.find((each) => conflictsWith(each, source));
        return other ? [`services.${source.service}.instances: ${conflictDetail(other, source)}`] : [];
      });
      if (problems.length > 0) throw new ConfigError(problems);
    },
    enforceAddressPolicy() {
      const { allowNetworks } = deps.config().registry;
      for (const { origin, service, id: instance, url } of [...deps.instances().values()]) {
        const reason = origin === 'api' ? addressPolicyViolation(url, allowNetworks) : null;
        if (reason) deps.apply({ kind: 'deregister', service, instance, reason });
      }
    },
    intents: () => intents,
    replicateTo(tell) {
      share = tell;
    },
    close: settled,
  };
}
