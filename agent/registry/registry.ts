import { join } from 'node:path';
import type { Config } from '../../shared/config/config.ts';
import type { Command } from '../judge/step.ts';
import { type AdminState, type Change, type Instance, instanceKey, type Registration } from '../state.ts';
import { whyAddressNotAllowed, whyNotAllowed } from './allowed.ts';
import { FORGET_REMOVAL_MS, type Intent, parseIntents } from './intent.ts';
import { readJson, writeWhole } from './whole-file.ts';

/** What a wish came to. Refusals carry the reason for the caller. */
export type Answer =
  | { ok: true; instance: Instance; created: boolean }
  | { ok: false; why: 'unknown' | 'conflict' | 'invalid'; detail: string };

export interface Registry {
  register(registration: Registration, by: string): Promise<Answer>;
  deregister(service: string, id: string, by: string): Promise<Answer>;
  setAdmin(
    service: string,
    id: string,
    admin: AdminState,
    deadline: number | undefined,
    by: string,
  ): Promise<Answer>;
  setWeight(service: string, id: string, weight: number, by: string): Promise<Answer>;
  heartbeat(service: string, id: string): Answer;
  /** News from the judge: a registration that ran out, a drain that became maint. */
  accept(update: { changes: readonly Change[] }): void;
  /** Takes over what another agent of the site was asked for. */
  merge(raw: { [key: string]: unknown }): void;
  /** After registry.allowNetworks changed: what was registered at an address outside of it goes. */
  judgeAddresses(): void;
  intents(): ReadonlyMap<string, Intent>;
  /** From now on the other agent of the site is told of every wish. */
  shareWith(tell: (key: string, intent: Intent) => void): void;
  close(): Promise<void>;
}

export interface RegistryDeps {
  config(): Config;
  stateDir: string;
  instances(): ReadonlyMap<string, Instance>;
  apply(command: Command): Change[];
  onError(error: unknown): void;
  now?: () => number;
}

export const registryPath = (stateDir: string): string => join(stateDir, 'registry.json');

export async function openRegistry(deps: RegistryDeps): Promise<Registry> {
  const now = deps.now ?? Date.now;
  const path = registryPath(deps.stateDir);
  const intents = parseIntents(await readJson(path));
  let saving: Promise<void> = Promise.resolve();
  let share: (key: string, intent: Intent) => void = () => {};

  for (const [key, intent] of intents) enact(key, intent);
  for (const [key, { origin, service, id }] of deps.instances()) {
    if (origin !== 'api' || intents.get(key)?.registration) continue;
    deps.apply({
      kind: 'deregister',
      service,
      instance: id,
      reason: 'its registration is no longer on record',
    });
  }

  function save(): Promise<void> {
    for (const [key, intent] of intents) {
      if (intent.removed && now() - intent.updatedAt > FORGET_REMOVAL_MS) intents.delete(key);
    }
    const text = JSON.stringify(Object.fromEntries(intents), null, 1);
    saving = saving.catch(() => {}).then(() => writeWhole(path, text));
    return saving;
  }

  /** On disk first, then in force: an answer "created" survives a crash right after it. */
  async function wish(key: string, by: string, change: Partial<Intent>): Promise<void> {
    const { removed: _, ...before } = intents.get(key) ?? { by, updatedAt: 0 };
    const intent: Intent = { ...before, ...change, by, updatedAt: now() };
    intents.set(key, intent);
    await save();
    share(key, intent);
    enact(key, intent);
  }

  function enact(key: string, intent: Intent): void {
    const [service = '', instance = ''] = key.split('/');
    const asked = { reason: `asked for by ${intent.by}`, by: intent.by };
    const known = deps.instances().get(key);
    if (intent.removed) {
      if (known?.origin === 'api') deps.apply({ kind: 'deregister', service, instance, ...asked });
      return;
    }
    if (intent.registration && known?.origin !== 'file' && deps.config().services[service]) {
      const refused = whyAddressNotAllowed(intent.registration.url, deps.config().registry.allowNetworks);
      if (refused) {
        if (known) deps.apply({ kind: 'deregister', service, instance, reason: refused });
        return;
      }
      const { ttl, ...rest } = intent.registration;
      const source = { ...rest, origin: 'api' as const, ...(ttl === undefined ? {} : { ttl }) };
      deps.apply({ kind: 'register', source, known: false, ...asked });
      if (ttl !== undefined) deps.apply({ kind: 'heartbeat', service, instance });
    }
    const present = deps.instances().get(key);
    if (!present) return;
    if (intent.weight !== undefined && intent.weight !== present.weight) {
      deps.apply({ kind: 'weight', service, instance, weight: intent.weight, ...asked });
    }
    const { admin } = intent;
    if (admin && (admin.state !== present.admin || admin.deadline !== present.drainDeadline)) {
      const deadline = admin.deadline === undefined ? {} : { deadline: admin.deadline };
      deps.apply({ kind: 'admin', service, instance, admin: admin.state, ...deadline, ...asked });
    }
  }

  /** Not worth a write to disk: after a restart every registration gets a whole ttl anyway. */
  function beat(service: string, id: string): void {
    const key = instanceKey(service, id);
    const intent = intents.get(key);
    deps.apply({ kind: 'heartbeat', service, instance: id });
    if (intent?.registration?.ttl === undefined) return;
    const beaten = { ...intent, updatedAt: now() };
    intents.set(key, beaten);
    share(key, beaten);
  }

  function find(service: string, id: string): Instance | undefined {
    return deps.instances().get(instanceKey(service, id));
  }

  function answer(service: string, id: string, created = false): Answer {
    const instance = find(service, id);
    return instance ? { ok: true, instance, created } : unknown(service, id);
  }

  /** What stands in the way of a registration, or is the same; null when nothing does. */
  function standing(registration: Registration): Answer | null {
    const { service, id, url } = registration;
    const before = find(service, id);
    if (before) {
      const recorded = intents.get(instanceKey(service, id))?.registration;
      const same = before.origin === 'api' && sameBody(recorded, registration);
      if (!same) return { ok: false, why: 'conflict', detail: conflictText(before, registration) };
      beat(service, id);
      return answer(service, id);
    }
    const elsewhere = [...deps.instances().values()].find(
      (other) => other.id === id || (other.service === service && other.url === url),
    );
    return elsewhere ? { ok: false, why: 'conflict', detail: conflictText(elsewhere, registration) } : null;
  }

  /** A wish is in force only once it is on disk: the next one is judged after that. */
  let turn: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work, work);
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
      const refused = await whyNotAllowed(url, deps.config().registry.allowNetworks);
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
        if (!instance) return unknown(service, id);
        if (instance.origin === 'file') {
          const detail = `${id} stands in the configuration file: take it out there, or put it in maint`;
          return { ok: false, why: 'conflict', detail };
        }
        intents.set(instanceKey(service, id), { by, updatedAt: now() });
        await wish(instanceKey(service, id), by, { removed: true });
        return { ok: true, instance, created: false };
      }),
    setAdmin: (service, id, state, deadline, by) =>
      inTurn(async () => {
        if (!find(service, id)) return unknown(service, id);
        await wish(instanceKey(service, id), by, {
          admin: { state, ...(deadline === undefined ? {} : { deadline }) },
        });
        return answer(service, id);
      }),
    setWeight: (service, id, weight, by) =>
      inTurn(async () => {
        if (!find(service, id)) return unknown(service, id);
        await wish(instanceKey(service, id), by, { weight });
        return answer(service, id);
      }),
    heartbeat(service, id) {
      const instance = find(service, id);
      if (!instance) return unknown(service, id);
      if (instance.expiresAt === undefined) {
        return {
          ok: false,
          why: 'conflict',
          detail: `${id} was registered without a ttl: it needs no heartbeat`,
        };
      }
      beat(service, id);
      return answer(service, id);
    },
    accept({ changes }) {
      for (const change of changes) {
        const key = instanceKey(change.service, change.instance);
        const intent = intents.get(key);
        const next = intent && afterChange(intent, change, now());
        if (!next) continue;
        intents.set(key, next);
        share(key, next);
        save().catch(deps.onError);
      }
    },
    merge(raw) {
      let news = false;
      for (const [key, intent] of parseIntents(raw)) {
        if (intent.updatedAt <= (intents.get(key)?.updatedAt ?? 0)) continue;
        intents.set(key, intent);
        news = true;
        enact(key, intent);
      }
      if (news) save().catch(deps.onError);
    },
    judgeAddresses() {
      const { allowNetworks } = deps.config().registry;
      for (const { origin, service, id: instance, url } of [...deps.instances().values()]) {
        const reason = origin === 'api' ? whyAddressNotAllowed(url, allowNetworks) : null;
        if (reason) deps.apply({ kind: 'deregister', service, instance, reason });
      }
    },
    intents: () => intents,
    shareWith(tell) {
      share = tell;
    },
    close: () => saving.catch(() => {}),
  };
}

/** The wish as it stands after the agent itself changed something; null when that does not touch it. */
function afterChange(intent: Intent, change: Change, now: number): Intent | null {
  if (intent.removed || change.by !== undefined) return null;
  const { weight: _, ...rest } = intent;
  switch (change.kind) {
    case 'deregistered':
      return { by: 'agent', updatedAt: now, removed: true };
    case 'admin':
      return intent.admin ? { ...intent, updatedAt: now, admin: { state: 'maint' } } : null;
    case 'weight':
      // The file's own weight changed, which ends the wish for another.
      return intent.weight === undefined ? null : { ...rest, updatedAt: now };
    default:
      return null;
  }
}

const unknown = (service: string, id: string): Answer => ({
  ok: false,
  why: 'unknown',
  detail: `service "${service}" has no instance "${id}"`,
});

function conflictText(other: Instance, { service, id, url }: Registration): string {
  const fromFile = other.origin === 'file';
  if (other.id !== id) {
    return `${url} is the address of ${other.id} of ${other.service}, which ${fromFile ? 'stands in the configuration file' : 'is registered'}`;
  }
  if (other.service !== service) return `the id ${id} is taken, by an instance of ${other.service}`;
  return fromFile
    ? `${id} of ${service} stands in the configuration file, with ${other.url}`
    : `${id} of ${service} is registered with another body (${other.url}); deregister it first`;
}

/** Key order is no difference. */
function sameBody(a: Registration | Intent['registration'], b: Registration): boolean {
  const plain = (body: Registration | Intent['registration']) =>
    JSON.stringify(
      body && Object.entries({ ...body, metadata: Object.entries(body.metadata ?? {}).sort() }).sort(),
    );
  return plain(a) === plain(b);
}
