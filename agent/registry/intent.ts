import { z } from 'zod';
import { parseOrigin } from '../../shared/config/origin.ts';
import { instanceKey } from '../state.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** No date lies after it (ECMA-262 §21.4.1.1). Epoch milliseconds. */
const LAST_INSTANT = 8.64e15;

/**
 * What people and programs asked for at run time about one instance: its registration, its admin state, its weight.
 * Survives restarts, and is shared by the agents of a site: the newer one wins, so a removal is kept for a while too.
 */
export const intentSchema = z.object({
  updatedAt: z.number(),
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
  admin: z
    .object({ state: z.enum(['ready', 'drain', 'maint']), deadline: z.number().max(LAST_INSTANT).optional() })
    .optional(),
  weight: z.number().optional(),
});

export type Intent = z.output<typeof intentSchema>;

/** A removal is remembered this long, so that the other agent learns of it. */
export const FORGET_REMOVAL_MS = 86_400_000;

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
