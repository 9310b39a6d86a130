import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError } from '../../shared/config/load.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import {
  type AdminState,
  type Change,
  type Instance,
  instanceKey,
  type Registration,
} from '../core/state.ts';
import { fileSources } from '../judge/initial.ts';
import { errorMessage } from '../lib/error-message.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import { addressPolicyViolation, urlPolicyViolation } from './address-policy.ts';
import { type ApplyIntentDeps, applyIntent } from './apply-intent.ts';
import { CLEARED_INTENT, type Intent, sameRegistration } from './intent.ts';
import {
  type IntentEffect,
  type IntentEvent,
  intentStatus,
  requestedIntent,
  stepIntent,
} from './intent-state.ts';
import { type IntentStore, openIntentStore } from './intent-store.ts';
import { conflict, conflictDetail, conflictsWith, type RegistryResult, unknownInstance } from './result.ts';

/** Keeps the intents of operators and programs: it saves them, applies them, and shares them with the other agent. */
export interface Registry extends RegistryCommands {
  /** Takes in what the judge changed by itself: an expired registration, a drain that became maint. */
  accept(update: { changes: readonly Change[] }): void;
  /** Takes in the intents of the other agent of the site. */
  merge(theirs: ReadonlyMap<string, Intent>): void;
  /**
   * Extends registrations whose heartbeats could not arrive: those that go to the other agent while it is unreachable,
   * and all of them after this process was stopped. Call it before every tick.
   */
  creditMissedHeartbeats(otherUnreachable: boolean): void;
  /** Throws ConfigError if a registration has the id or address of an instance in this configuration. */
  checkFile(config: Config): void;
  /** Deregisters instances whose address is outside registry.allowNetworks. */
  enforceAddressPolicy(): void;
  intents(): ReadonlyMap<string, Intent>;
  /** `publish` receives every intent from now on. */
  replicateTo(publish: (key: string, intent: Intent) => void): void;
  close(): Promise<void>;
}

/** The requests of the API. `by` names the requester. */
export interface RegistryCommands {
  register(registration: Registration, by: string): Promise<RegistryResult>;
  deregister(service: string, id: string, by: string): Promise<RegistryResult>;
  setAdmin(service: string, id: string, admin: AdminRequest, by: string): Promise<RegistryResult>;
  setWeight(service: string, id: string, weight: number, by: string): Promise<RegistryResult>;
  heartbeat(service: string, id: string): RegistryResult;
}

export interface AdminRequest {
  state: AdminState;
  /** When a drain becomes maint, epoch ms. */
  deadline?: number | undefined;
}

export interface RegistryDeps extends ApplyIntentDeps {
  stateDir: string;
  onError(error: unknown): void;
  now?: () => number;
}

/** Ticks further apart than this mean that the process was stopped, the host slept, or the clock was set. */
const STALL_MS = 1_000;

/** An intent could not be saved, so it was not applied. */
class UnsavedIntentError extends Error {}

export const registryPath = (stateDir: string): string => join(stateDir, 'registry.json');

export async function openRegistry(deps: RegistryDeps): Promise<Registry> {
  const now = deps.now ?? Date.now;
  const path = registryPath(deps.stateDir);
  const store = await openIntentStore(path, now);
  applySavedIntents(deps, store.intents);
  const driver = createIntentDriver(deps, store, { path, now });
  let tickedAt = now();
  return {
    ...createRegistryCommands(deps, driver),
    accept({ changes }) {
      driver.dispatchAll(
        changes.map((change) => [instanceKey(change.service, change.instance), { kind: 'changed', change }]),
      );
    },
    merge(theirs) {
      driver.dispatchAll(Array.from(theirs, ([key, intent]) => [key, { kind: 'merged', theirs: intent }]));
    },
    creditMissedHeartbeats(otherUnreachable) {
      const stalled = elapsedMs(tickedAt, now()) > STALL_MS;
      tickedAt = now();
      if (!stalled && !otherUnreachable) return;
      for (const [key, { service, id: instance, expiresAt }] of [...deps.instances()]) {
        if (expiresAt === undefined || !(stalled || driver.isHeardElsewhere(key))) continue;
        deps.apply({ kind: 'heartbeat', service, instance });
      }
    },
    checkFile: (config) => checkFile(config, deps.instances().values()),
    enforceAddressPolicy() {
      const { allowNetworks } = deps.config().registry;
      for (const { origin, service, id: instance, url } of [...deps.instances().values()]) {
        const reason = origin === 'api' ? addressPolicyViolation(url, allowNetworks) : null;
        if (reason) deps.apply({ kind: 'deregister', service, instance, reason });
      }
    },
    intents: () => store.intents,
    replicateTo: driver.replicateTo,
    close: store.whenIdle,
  };
}

function applySavedIntents(deps: RegistryDeps, intents: ReadonlyMap<string, Intent>): void {
  for (const [key, intent] of intents) applyIntent(deps, key, intent);
  const reason = 'its registration is not in the registry';
  for (const [key, { origin, service, id: instance }] of deps.instances()) {
    if (origin !== 'api' || intents.get(key)?.registration) continue;
    deps.apply({ kind: 'deregister', service, instance, reason });
  }
}

function checkFile(config: Config, instances: Iterable<Instance>): void {
  const registered = [...instances].filter(
    ({ origin, service }) => origin === 'api' && config.services[service],
  );
  const problems = [...fileSources(config).values()].flatMap((source) => {
    const other = registered.find((each) => conflictsWith(each, source));
    return other ? [`services.${source.service}.instances: ${conflictDetail(other, source)}`] : [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

type IntentDriver = ReturnType<typeof createIntentDriver>;

/** Runs the intent of every instance: `stepIntent` decides, and the driver saves, publishes, and applies. */
function createIntentDriver(
  deps: RegistryDeps,
  { intents, save }: IntentStore,
  { path, now }: { path: string; now: () => number },
) {
  const heardElsewhere = new Set<string>();
  let publish: (key: string, intent: Intent) => void = () => {};

  /** Returns whether the change must be saved. */
  function dispatch(key: string, event: IntentEvent, at = now()): boolean {
    const before = { intent: intents.get(key), heardElsewhere: heardElsewhere.has(key) };
    const { state, effects } = stepIntent(before, event, at);
    if (state.intent && state.intent !== before.intent) intents.set(key, state.intent);
    if (state.heardElsewhere) heardElsewhere.add(key);
    else heardElsewhere.delete(key);
    for (const effect of effects) run(key, effect);
    return effects.some(({ kind }) => kind === 'save');
  }

  function run(key: string, effect: IntentEffect): void {
    const [service = '', instance = ''] = key.split('/');
    switch (effect.kind) {
      case 'apply':
        applyIntent(deps, key, effect.intent, effect.previous);
        return;
      case 'deregister':
        deps.apply({ kind: 'deregister', service, instance, reason: effect.reason, by: effect.by });
        return;
      case 'heartbeat':
        deps.apply({ kind: 'heartbeat', service, instance });
        return;
      case 'publish':
        publish(key, effect.intent);
        return;
      case 'save':
        // Many events share one write: see dispatchAll.
        return;
    }
  }

  return {
    dispatch,
    dispatchAll(events: Iterable<readonly [key: string, IntentEvent]>): void {
      const unsaved = Array.from(events, ([key, event]) => dispatch(key, event));
      if (unsaved.includes(true)) save().catch(deps.onError);
    },
    isHeardElsewhere: (key: string) => heardElsewhere.has(key),
    registrationOf: (key: string) => intents.get(key)?.registration,
    /** Saves the intent before it takes effect, so that an acknowledged request survives a crash. */
    async request(key: string, by: string, changes: Partial<Intent>): Promise<void> {
      const before = intents.get(key);
      const at = now();
      await save([key, requestedIntent(before, { changes, by }, at)]).catch((error: unknown) => {
        deps.onError(error);
        const message = `nothing was changed: ${path} cannot be written (${errorMessage(error)})`;
        throw new UnsavedIntentError(message, { cause: error });
      });
      const current = intents.get(key);
      const changedMeanwhile = current !== before;
      const removedMeanwhile = intentStatus(current) === 'removed' || intentStatus(current) === 'expired';
      if (changedMeanwhile && removedMeanwhile && !changes.registration) return;
      dispatch(key, { kind: 'requested', changes, by }, at);
      if (changedMeanwhile) save().catch(deps.onError);
    },
    replicateTo(next: typeof publish) {
      publish = next;
    },
  };
}

function createRegistryCommands(deps: RegistryDeps, driver: IntentDriver): RegistryCommands {
  const queue = createSerialQueue();
  const find = (service: string, id: string) => deps.instances().get(instanceKey(service, id));

  function success(service: string, id: string, created = false): RegistryResult {
    const instance = find(service, id);
    return instance ? { ok: true, instance, created } : unknownInstance(service, id);
  }

  /** One request at a time, so that the next one sees the effect of the previous one. */
  function inTurn(task: () => Promise<RegistryResult>): Promise<RegistryResult> {
    return queue.add(task).catch((error: unknown): RegistryResult => {
      if (error instanceof UnsavedIntentError) return { ok: false, why: 'unsaved', detail: error.message };
      throw error;
    });
  }

  const request = (service: string, id: string, by: string, changes: Partial<Intent>) =>
    inTurn(async () => {
      if (!find(service, id)) return unknownInstance(service, id);
      await driver.request(instanceKey(service, id), by, changes);
      return success(service, id);
    });

  /** The result for a registration that exists or conflicts; null if it is new. */
  function existing(registration: Registration): RegistryResult | null {
    const { service, id } = registration;
    const key = instanceKey(service, id);
    const before = find(service, id);
    if (before) {
      const isSame = before.origin === 'api' && sameRegistration(driver.registrationOf(key), registration);
      if (!isSame) return conflict(conflictDetail(before, registration));
      driver.dispatch(key, { kind: 'heartbeat' });
      return success(service, id);
    }
    const other = [...deps.instances().values()].find((each) => conflictsWith(each, registration));
    return other ? conflict(conflictDetail(other, registration)) : null;
  }

  return {
    async register(registration, by) {
      const { service, id, url } = registration;
      if (!deps.config().services[service]) {
        return { ok: false, why: 'unknown', detail: `there is no service "${service}"` };
      }
      const early = existing(registration);
      if (early) return early;
      const violation = await urlPolicyViolation(url, deps.config().registry.allowNetworks);
      if (violation) return { ok: false, why: 'invalid', detail: violation };
      return inTurn(async () => {
        // Another request may have registered it while the host name was resolved.
        const late = existing(registration);
        if (late) return late;
        const body = { ...registration, metadata: registration.metadata ?? {} };
        await driver.request(instanceKey(service, id), by, { registration: body });
        return success(service, id, true);
      });
    },
    deregister: (service, id, by) =>
      inTurn(async () => {
        const instance = find(service, id);
        if (!instance) return unknownInstance(service, id);
        if (instance.origin === 'file') {
          return conflict(`${id} is in the configuration file: remove it there, or set it to maint`);
        }
        await driver.request(instanceKey(service, id), by, { ...CLEARED_INTENT, removed: true });
        return { ok: true, instance, created: false };
      }),
    setAdmin: (service, id, { state, deadline }, by) =>
      request(service, id, by, { admin: { state, ...(deadline !== undefined && { deadline }) } }),
    setWeight: (service, id, weight, by) => request(service, id, by, { weight }),
    heartbeat(service, id) {
      const instance = find(service, id);
      if (!instance) return unknownInstance(service, id);
      if (instance.expiresAt === undefined) {
        const why =
          instance.origin === 'file' ? 'is in the configuration file' : 'was registered without a ttl';
        return conflict(`${id} ${why}: it needs no heartbeat`);
      }
      driver.dispatch(instanceKey(service, id), { kind: 'heartbeat' });
      return success(service, id);
    },
  };
}
