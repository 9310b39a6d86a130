import { z } from 'zod';
import { parseOrigin } from '../../shared/config/origin.ts';
import { type Change, instanceKey, type Registration } from '../core/state.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** No date lies after it (ECMA-262 §21.4.1.1). Epoch milliseconds. */
const LAST_INSTANT = 8.64e15;

/**
 * What people and programs asked for at run time about one instance: its registration, its admin state, its weight.
 * Survives restarts, and is shared by the agents of a site: the newer one wins, so a removal is kept for a while too.
 */
export const intentSchema = z.object({
  /** Grows with every wish, whatever the clocks of two agents say. */
  updatedAt: z.number(),
  /**
   * Of a registration with a ttl: when its last heartbeat came; of one that ran out, its last sign of any kind. No wish, so
   * it outranks none.
   */
  beatenAt: z.number().optional(),
  by: z.string(),
  registration: z
    .object({
      // These become words of commands to HAProxy: what comes from a store is held to what the API takes.
      id: z.string().regex(NAME),
      service: z.string().regex(NAME),
      url: z.string().refine((url) => parseOrigin(url) === url),
      publicUrl: z.string().optional(),
      weight: z.number(),
      priority: z.number(),
      maxconn: z.number().optional(),
      ttl: z.number().optional(),
      metadata: z.record(z.string(), z.string()),
    })
    .optional(),
  /** The registration was taken back. */
  removed: z.boolean().optional(),
  /** Nobody asked for that: an agent heard no heartbeat. The other one may have. */
  expired: z.boolean().optional(),
  admin: z
    .object({ state: z.enum(['ready', 'drain', 'maint']), deadline: z.number().max(LAST_INSTANT).optional() })
    .optional(),
  weight: z.number().optional(),
});

export type Intent = z.output<typeof intentSchema>;

/** Whether the one agent's record of an instance takes the place of the other's. */
export function supersedes(theirs: Intent, ours: Intent | undefined): boolean {
  if (!ours) return true;
  const rank = theirs.expired || ours.expired ? lastSign : ({ updatedAt }: Intent) => updatedAt;
  return rank(theirs) > rank(ours);
}

/** Whether it holds a heartbeat that the other has not heard of. */
export const hasNewerHeartbeat = (theirs: Intent, ours: Intent): boolean =>
  !ours.removed && !theirs.removed && (theirs.beatenAt ?? 0) > (ours.beatenAt ?? 0);

/** Of one that ran out: the last that was heard before. When that was noticed proves nothing; the agent may have slept. */
const lastSign = ({ updatedAt, beatenAt = 0, expired }: Intent): number =>
  expired ? beatenAt : Math.max(updatedAt, beatenAt);

/** A removal is remembered this long, so that the other agent learns of it. */
const FORGET_REMOVAL_MS = 86_400_000;

export const isExpiredRemoval = ({ removed, updatedAt }: Intent, now: number): boolean =>
  removed === true && now - updatedAt > FORGET_REMOVAL_MS;

export function parseIntents(raw: unknown): Map<string, Intent> {
  const parsed = z.record(z.string(), z.unknown()).safeParse(raw ?? {});
  const intents = new Map<string, Intent>();
  for (const [key, value] of Object.entries(parsed.success ? parsed.data : {})) {
    const intent = intentSchema.safeParse(value);
    if (!intent.success) continue;
    const { registration } = intent.data;
    if (registration && instanceKey(registration.service, registration.id) !== key) continue;
    intents.set(key, intent.data);
  }
  return intents;
}

/** Takes back all that was asked for. */
export const CLEARED_INTENT = {
  registration: undefined,
  admin: undefined,
  weight: undefined,
  beatenAt: undefined,
} as const;

/** The wish as it stands after the agent itself changed something; null when that does not touch it. */
export function intentAfterChange(intent: Intent, change: Change, now: number): Intent | null {
  if (intent.removed || change.by !== undefined) return null;
  const { weight: _, ...rest } = intent;
  switch (change.kind) {
    case 'deregistered':
      return { by: 'agent', updatedAt: now, beatenAt: lastSign(intent), removed: true, expired: true };
    case 'admin':
      return intent.admin ? { ...intent, updatedAt: now, admin: { state: 'maint' } } : null;
    case 'weight':
      // The file's own weight changed, which ends the wish for another.
      return intent.weight === undefined ? null : { ...rest, updatedAt: now };
    default:
      return null;
  }
}

/** Key order is no difference. */
export function sameRegistration(
  a: Registration | Intent['registration'],
  b: Registration | Intent['registration'],
): boolean {
  const plain = (body: Registration | Intent['registration']) =>
    JSON.stringify(
      body && Object.entries({ ...body, metadata: Object.entries(body.metadata ?? {}).sort() }).sort(),
    );
  return plain(a) === plain(b);
}
