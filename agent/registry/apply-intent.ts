import type { Config } from '../../shared/config/config.ts';
import type { Change, Instance } from '../core/state.ts';
import type { JudgeCommand } from '../judge/step.ts';
import { addressPolicyViolation } from './address-policy.ts';
import type { Intent } from './intent.ts';
import { conflictDetail, conflictsWith } from './result.ts';

export interface ApplyIntentDeps {
  config(): Config;
  instances(): ReadonlyMap<string, Instance>;
  apply(command: JudgeCommand): Change[];
}

/**
 * Brings a wish into force: whatever the instance of `key` lacks of it is told to the judge. `last`: the wish it takes the
 * place of, when wishes in between may have been missed.
 */
export function applyIntent(deps: ApplyIntentDeps, key: string, intent: Intent, last?: Intent): void {
  const [service = '', instance = ''] = key.split('/');
  const asked = { reason: `asked for by ${intent.by}`, by: intent.by };
  const known = deps.instances().get(key);
  if (intent.removed) {
    if (known?.origin === 'api') deps.apply({ kind: 'deregister', service, instance, ...asked });
    return;
  }
  if (intent.registration && known?.origin !== 'file' && deps.config().services[service]) {
    const refused = whyRefused(deps, intent.registration);
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
  const weight = intent.weight ?? (last?.weight === undefined ? undefined : intent.registration?.weight);
  if (weight !== undefined && weight !== present.weight) {
    deps.apply({ kind: 'weight', service, instance, weight, ...asked });
  }
  const admin = intent.admin ?? (last?.admin && { state: 'ready', deadline: undefined });
  if (admin && (admin.state !== present.admin || admin.deadline !== present.drainDeadline)) {
    const deadline = admin.deadline === undefined ? {} : { deadline: admin.deadline };
    deps.apply({ kind: 'admin', service, instance, admin: admin.state, ...deadline, ...asked });
  }
}

/** What the file says by now against a registration of before. */
function whyRefused(deps: ApplyIntentDeps, registration: NonNullable<Intent['registration']>): string | null {
  const { allowNetworks } = deps.config().registry;
  for (const other of deps.instances().values()) {
    if (other.origin === 'file' && conflictsWith(other, registration))
      return conflictDetail(other, registration);
  }
  return addressPolicyViolation(registration.url, allowNetworks);
}
