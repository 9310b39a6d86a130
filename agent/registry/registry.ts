import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError } from '../../shared/config/load.ts';
import { elapsedMs } from '../../shared/elapsed.ts';
import { type Change, type Instance, instanceKey } from '../core/state.ts';
import { fileSources } from '../judge/initial.ts';
import { addressPolicyViolation } from './address-policy.ts';
import { applyIntent } from './apply-intent.ts';
import { createRegistryCommands, type RegistryCommands } from './commands.ts';
import { DISCOVERY, type Intent } from './intent.ts';
import { createIntentDriver, type IntentRequest, type RegistryDeps } from './intent-driver.ts';
import { openIntentStore } from './intent-store.ts';
import { conflictDetail, conflictsWith } from './result.ts';

/** Keeps the intents of operators and programs: it saves them, applies them, and shares them with the other agents. */
export interface Registry extends RegistryCommands {
  /** Takes in what the judge changed by itself: an expired registration, a drain that became maint. */
  accept(update: { changes: readonly Change[] }): void;
  /** Takes in the intents of another agent of the site. */
  merge(theirs: ReadonlyMap<string, Intent>): void;
  /**
   * Extends registrations whose heartbeats could not arrive: those that go to another agent while it is unreachable,
   * and all of them after this process was stopped. Call it before every tick.
   */
  creditMissedHeartbeats(otherUnreachable: boolean): void;
  /** Throws ConfigError if a registration has the id or address of an instance in this configuration. */
  checkFile(config: Config): void;
  /** Applies what the sources of services list: changes of intents by `service/instance`. Saves them in one write. */
  discover(requests: readonly IntentRequest[]): void;
  /** Deregisters instances whose address is outside registry.allowNetworks. */
  enforceAddressPolicy(): void;
  intents(): ReadonlyMap<string, Intent>;
  /** `publish` receives every intent from now on. */
  replicateTo(publish: (key: string, intent: Intent) => void): void;
  close(): Promise<void>;
}

/** Ticks further apart than this mean that the process was stopped, the host slept, or the clock was set. */
const STALL_MS = 1_000;

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
      for (const instance of [...deps.instances().values()]) {
        const { origin, service, id } = instance;
        const reason = origin !== 'file' ? addressPolicyViolation(instance, deps.config()) : null;
        if (reason) deps.apply({ kind: 'deregister', service, instance: id, reason });
      }
    },
    discover: (requests) => driver.requestAll(requests, DISCOVERY),
    intents: () => store.intents,
    replicateTo: driver.replicateTo,
    close: store.whenIdle,
  };
}

function applySavedIntents(deps: RegistryDeps, intents: ReadonlyMap<string, Intent>): void {
  for (const [key, intent] of intents) applyIntent(deps, key, intent);
  const reason = 'its registration is not in the registry';
  for (const [key, { origin, service, id: instance }] of deps.instances()) {
    if (origin === 'file' || intents.get(key)?.registration) continue;
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
