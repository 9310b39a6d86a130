import { errorMessage } from '../../shared/error-message.ts';
import { type ApplyIntentDeps, applyIntent } from './apply-intent.ts';
import { type Intent, settingsOf } from './intent.ts';
import {
  type IntentEffect,
  type IntentEvent,
  intentStatus,
  requestedIntent,
  stepIntent,
} from './intent-state.ts';
import type { IntentStore } from './intent-store.ts';

export interface RegistryDeps extends ApplyIntentDeps {
  stateDir: string;
  onError(error: unknown): void;
  now?: () => number;
}

/** Changes to the intent for an instance. */
export type IntentRequest = readonly [key: string, changes: Partial<Intent>];

/** An intent could not be saved, so it was not applied. */
export class UnsavedIntentError extends Error {}

export type IntentDriver = ReturnType<typeof createIntentDriver>;

/** Runs the intent of every instance: `stepIntent` decides, and the driver saves, publishes, and applies. */
export function createIntentDriver(
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
    /** What a removal of the instance keeps. */
    settingsOf(key: string): Pick<Intent, 'admin' | 'weight'> {
      const intent = intents.get(key);
      return intent ? settingsOf(intent) : {};
    },
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
    /** Applies all requests, then saves them once. A crash before that loses nothing: the source is read again. */
    requestAll(requests: readonly IntentRequest[], by: string): void {
      for (const [key, changes] of requests) dispatch(key, { kind: 'requested', changes, by });
      if (requests.length > 0) save().catch(deps.onError);
    },
    replicateTo(next: typeof publish) {
      publish = next;
    },
  };
}
