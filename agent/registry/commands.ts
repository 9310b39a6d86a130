import { type AdminState, type Instance, instanceKey, type Registration } from '../core/state.ts';
import { unknownInstanceText, unknownServiceText } from '../core/unknown-name.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import { urlPolicyViolation } from './address-policy.ts';
import { CLEARED_INTENT, type Intent, sameRegistration } from './intent.ts';
import { type IntentDriver, type RegistryDeps, UnsavedIntentError } from './intent-driver.ts';
import { conflict, conflictDetail, conflictsWith, type RegistryResult, unknownName } from './result.ts';

/** The requests of the API. `by` names the requester. */
export interface RegistryCommands {
  register(registration: Registration, by: string): Promise<RegistryResult>;
  /** `settings`: whether the admin state and the weight that an operator set are kept for the next registration. */
  deregister(
    service: string,
    id: string,
    by: string,
    settings: 'keep-settings' | 'clear-settings',
  ): Promise<RegistryResult>;
  setAdmin(service: string, id: string, admin: AdminRequest, by: string): Promise<RegistryResult>;
  setWeight(service: string, id: string, weight: number, by: string): Promise<RegistryResult>;
  heartbeat(service: string, id: string): RegistryResult;
}

export interface AdminRequest {
  state: AdminState;
  /** When a drain becomes maint, epoch ms. */
  deadline?: number | undefined;
}

export function createRegistryCommands(deps: RegistryDeps, driver: IntentDriver): RegistryCommands {
  const context = createContext(deps);
  const { find, unknown, success, inTurn } = context;
  const request = (service: string, id: string, by: string, changes: Partial<Intent>) =>
    inTurn(async () => {
      if (!find(service, id)) return unknown(service, id);
      await driver.request(instanceKey(service, id), by, changes);
      return success(service, id);
    });
  return {
    register: createRegister(deps, driver, context),
    deregister: (service, id, by, settings) =>
      inTurn(async () => {
        const instance = find(service, id);
        if (!instance) return unknown(service, id);
        const listed = keptBy(instance);
        if (listed) return conflict(`${id} ${listed}: remove it there, or set it to maint`);
        const key = instanceKey(service, id);
        const kept = settings === 'keep-settings' ? driver.settingsOf(key) : {};
        await driver.request(key, by, { ...CLEARED_INTENT, ...kept, removed: true });
        return { ok: true, instance, created: false };
      }),
    setAdmin: (service, id, { state, deadline }, by) =>
      request(service, id, by, { admin: { state, by, ...(deadline !== undefined && { deadline }) } }),
    setWeight: (service, id, weight, by) => request(service, id, by, { weight }),
    heartbeat(service, id) {
      const instance = find(service, id);
      if (!instance) return unknown(service, id);
      if (instance.expiresAt === undefined) {
        const why = keptBy(instance) ?? 'was registered without a ttl';
        return conflict(`${id} ${why}: it needs no heartbeat`);
      }
      driver.dispatch(instanceKey(service, id), { kind: 'heartbeat' });
      return success(service, id);
    },
  };
}

/** Why the registry cannot remove the instance; null: it can. */
function keptBy({ origin, source }: Instance): string | null {
  if (origin === 'api') return null;
  return origin === 'file' ? 'is in the configuration file' : `is listed by ${source ?? 'its source'}`;
}

type RegistryCommandContext = ReturnType<typeof createContext>;

function createContext(deps: RegistryDeps) {
  const queue = createSerialQueue();
  const find = (service: string, id: string) => deps.instances().get(instanceKey(service, id));
  const unknown = (service: string, id: string): RegistryResult => {
    const { services } = deps.config();
    return unknownName(unknownInstanceText(service, id, { services, instances: deps.instances() }));
  };
  return {
    find,
    unknown,
    success(service: string, id: string, created = false): RegistryResult {
      const instance = find(service, id);
      return instance ? { ok: true, instance, created } : unknown(service, id);
    },
    /** One request at a time, so that the next one sees the effect of the previous one. */
    inTurn(task: () => Promise<RegistryResult>): Promise<RegistryResult> {
      return queue.add(task).catch((error: unknown): RegistryResult => {
        if (error instanceof UnsavedIntentError) return { ok: false, why: 'unsaved', detail: error.message };
        throw error;
      });
    },
  };
}

function createRegister(deps: RegistryDeps, driver: IntentDriver, context: RegistryCommandContext) {
  const { find, success, inTurn } = context;

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

  return async function register(registration: Registration, by: string): Promise<RegistryResult> {
    const { service, id } = registration;
    if (!deps.config().services[service]) {
      return unknownName(unknownServiceText(service, deps.config()));
    }
    const early = existing(registration);
    if (early) return early;
    const violation = await urlPolicyViolation(registration, deps.config());
    if (violation) return { ok: false, why: 'invalid', detail: violation };
    return inTurn(async () => {
      // Another request may have registered it while the host name was resolved.
      const late = existing(registration);
      if (late) return late;
      const body = { ...registration, metadata: registration.metadata ?? {} };
      await driver.request(instanceKey(service, id), by, { registration: body });
      return success(service, id, true);
    });
  };
}
