import type { Config } from '../../shared/config/config.ts';
import type { InstanceSource, JudgeCommand, Reason } from '../core/judge-event.ts';
import type { Change, Instance } from '../core/state.ts';
import { addressPolicyViolation } from './address-policy.ts';
import { DISCOVERY, type Intent } from './intent.ts';
import { conflictDetail, conflictsWith } from './result.ts';

export interface ApplyIntentDeps {
  config(): Config;
  instances(): ReadonlyMap<string, Instance>;
  apply(command: JudgeCommand): Change[];
}

/**
 * Makes the instance of `key` match its intent, by commands for what differs. `previous` is the intent that this one
 * replaces, if steps in between may have been missed: settings that it had and this one lacks are reset.
 */
export function applyIntent(deps: ApplyIntentDeps, key: string, intent: Intent, previous?: Intent): void {
  const [service = '', instance = ''] = key.split('/');
  const existing = deps.instances().get(key);
  const reason = reasonFor(intent, existing);
  if (intent.removed) {
    if (existing && existing.origin !== 'file')
      deps.apply({ kind: 'deregister', service, instance, ...reason });
    return;
  }
  const { registration } = intent;
  if (registration && existing?.origin !== 'file' && deps.config().services[service]) {
    const refusal = refusalOf(deps, registration);
    if (refusal) {
      if (existing) deps.apply({ kind: 'deregister', service, instance, reason: refusal });
      return;
    }
    applyRegistration(deps, registration, reason);
  }
  const present = deps.instances().get(key);
  if (present) applySettings(deps, present, reason, { intent, previous });
}

function reasonFor(intent: Intent, existing: Instance | undefined): Reason {
  const { by, registration, leaving, removed } = intent;
  const source = registration?.source ?? existing?.source;
  if (by !== DISCOVERY || source === undefined) return { reason: `requested by ${by}`, by };
  return { reason: removed || leaving ? `no longer listed by ${source}` : `listed by ${source}`, by };
}

function applyRegistration(
  deps: ApplyIntentDeps,
  { ttl, source: from, ...rest }: NonNullable<Intent['registration']>,
  reason: Reason,
): void {
  const source: InstanceSource = {
    ...rest,
    origin: from === undefined ? 'api' : 'discovered',
    ...(from !== undefined && { source: from }),
    ...(ttl !== undefined && { ttl }),
  };
  deps.apply({ kind: 'register', source, known: false, ...reason });
  if (ttl !== undefined) deps.apply({ kind: 'heartbeat', service: rest.service, instance: rest.id });
}

function applySettings(
  deps: ApplyIntentDeps,
  present: Instance,
  reason: Reason,
  { intent, previous }: { intent: Intent; previous: Intent | undefined },
): void {
  const { service, id: instance } = present;
  const weight = intent.weight ?? (previous?.weight === undefined ? undefined : intent.registration?.weight);
  if (weight !== undefined && weight !== present.weight) {
    deps.apply({ kind: 'weight', service, instance, weight, ...reason });
  }
  const admin = intent.admin ?? (previous?.admin && { state: 'ready', deadline: undefined });
  if (admin && (admin.state !== present.admin || admin.deadline !== present.drainDeadline)) {
    const deadline = admin.deadline !== undefined && { deadline: admin.deadline };
    const author = intent.admin?.by;
    deps.apply({
      kind: 'admin',
      service,
      instance,
      admin: admin.state,
      ...deadline,
      ...(author === undefined ? reason : { reason: `requested by ${author}`, by: author }),
    });
  }
}

/** Why the current configuration refuses a registration, or null. */
function refusalOf(deps: ApplyIntentDeps, registration: NonNullable<Intent['registration']>): string | null {
  for (const other of deps.instances().values()) {
    if (other.origin === 'file' && conflictsWith(other, registration))
      return conflictDetail(other, registration);
  }
  return addressPolicyViolation(registration, deps.config());
}
