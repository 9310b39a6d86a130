import { z } from 'zod';
import { parseOrigin } from '../../shared/config/origin.ts';
import { ID_PATTERN } from '../../shared/config/scalars.ts';
import { type Change, instanceKey, type Registration } from '../core/state.ts';
import { MAX_MAXCONN, METADATA_LENGTH, PRIORITY, TTL_MS, WEIGHT } from './limits.ts';

/** The greatest valid date, in epoch milliseconds (ECMA-262 §21.4.1.1). */
const MAX_DATE_MS = 8.64e15;
const MAX_AUTHOR_LENGTH = 200;
const MAX_SOURCE_LENGTH = 300;

const instant = z.number().nonnegative().max(MAX_DATE_MS);
const weight = z.int().min(WEIGHT.min).max(WEIGHT.max);
const origin = z.string().refine((url) => parseOrigin(url) === url);

/**
 * What operators and programs requested for one instance: its registration, admin state, and weight. It survives restarts
 * and is replicated between the agents of a site. The newer intent wins, so a removal is kept for a day.
 */
const intentSchema = z.object({
  /** Increases with every request, even if the clocks of the agents differ. Epoch ms. */
  updatedAt: instant,
  /**
   * The last heartbeat of a registration with a ttl, or the last sign of life of an expired one. Epoch ms. A heartbeat
   * supersedes no request.
   */
  beatenAt: instant.optional(),
  by: z.string().max(MAX_AUTHOR_LENGTH),
  registration: z
    .object({
      // These become arguments of HAProxy commands, so stored data must meet the rules of the API.
      id: z.string().regex(ID_PATTERN),
      service: z.string().regex(ID_PATTERN),
      url: origin,
      publicUrl: origin.optional(),
      weight,
      priority: z.int().min(PRIORITY.min).max(PRIORITY.max),
      maxconn: z.int().min(1).max(MAX_MAXCONN).optional(),
      ttl: z.number().min(TTL_MS.min).max(TTL_MS.max).optional(),
      metadata: z.record(z.string().max(METADATA_LENGTH.name), z.string().max(METADATA_LENGTH.value)),
      /** The source that lists it; absent: registered through the API. */
      source: z.string().max(MAX_SOURCE_LENGTH).optional(),
    })
    .optional(),
  /** Its source no longer lists it. `drained`: discovery set it to drain, not an operator. */
  leaving: z.object({ since: instant, drained: z.boolean() }).optional(),
  /** Removed after its source no longer listed it. */
  unlisted: z.boolean().optional(),
  /** The instance was deregistered. */
  removed: z.boolean().optional(),
  /** Removed because this agent received no heartbeat; another agent may have received one. */
  expired: z.boolean().optional(),
  /** A removed intent may keep `admin` and `weight` for the next registration of the id. */
  admin: z
    .object({
      state: z.enum(['ready', 'drain', 'maint']),
      deadline: instant.optional(),
      /** Who set it; absent: the author of the intent. */
      by: z.string().max(MAX_AUTHOR_LENGTH).optional(),
    })
    .optional(),
  weight: weight.optional(),
});

export type Intent = z.output<typeof intentSchema>;

/** Whether the intent of one agent replaces that of the other. */
export function supersedes(theirs: Intent, ours: Intent | undefined): boolean {
  if (!ours) return true;
  const version = theirs.expired || ours.expired ? lastSign : ({ updatedAt }: Intent) => updatedAt;
  return version(theirs) > version(ours);
}

/** Whether `theirs` has a heartbeat that `ours` lacks. */
export const hasNewerHeartbeat = (theirs: Intent, ours: Intent): boolean =>
  !ours.removed && !theirs.removed && (theirs.beatenAt ?? 0) > (ours.beatenAt ?? 0);

/** For an expired registration the last sign of life, not the expiry: the agent may have been stopped in between. */
const lastSign = ({ updatedAt, beatenAt = 0, expired }: Intent): number =>
  expired ? beatenAt : Math.max(updatedAt, beatenAt);

/** A removal is kept this long, so that every agent receives it. */
const KEEP_REMOVAL_MS = 86_400_000;
/** Shorter, because sources may list new addresses all day. If an agent misses the removal, discovery repeats it. */
const KEEP_UNLISTED_MS = 600_000;
/** A removal that keeps what an operator set. */
const KEEP_SETTINGS_MS = 30 * 86_400_000;

export const isExpiredRemoval = (intent: Intent, now: number): boolean =>
  intent.removed === true && now - intent.updatedAt > keepRemovalMs(intent);

function keepRemovalMs({ unlisted, admin, weight }: Intent): number {
  if (unlisted) return KEEP_UNLISTED_MS;
  return admin || weight !== undefined ? KEEP_SETTINGS_MS : KEEP_REMOVAL_MS;
}

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

/** The author of intents that discovery requests. */
export const DISCOVERY = 'discovery';

/** Resets every request. */
export const CLEARED_INTENT = {
  registration: undefined,
  admin: undefined,
  weight: undefined,
  beatenAt: undefined,
  leaving: undefined,
} as const;

/** What an operator set and a removal keeps, so that an instance cannot undo it by registering again. */
export function settingsOf({ admin, weight, by }: Intent): Pick<Intent, 'admin' | 'weight'> {
  return {
    ...(admin && admin.state !== 'ready' && { admin: { ...admin, by: admin.by ?? by } }),
    ...(weight !== undefined && { weight }),
  };
}

/** The intent after the judge changed the instance by itself; null if the intent stays as it is. */
export function intentAfterChange(intent: Intent, change: Change, now: number): Intent | null {
  if (intent.removed || change.by !== undefined) return null;
  const { weight: _, ...rest } = intent;
  switch (change.kind) {
    case 'deregistered':
      return {
        ...settingsOf(intent),
        by: 'agent',
        updatedAt: now,
        beatenAt: lastSign(intent),
        removed: true,
        expired: true,
      };
    case 'admin': {
      if (!intent.admin) return null;
      const { deadline: __, ...admin } = intent.admin;
      return { ...intent, updatedAt: now, admin: { ...admin, state: 'maint' } };
    }
    case 'weight':
      // The weight in the file changed, which overrides the requested one.
      return intent.weight === undefined ? null : { ...rest, updatedAt: now };
    default:
      return null;
  }
}

/** Compares two bodies regardless of key order. */
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
