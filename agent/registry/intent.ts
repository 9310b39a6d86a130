import { z } from 'zod';

/**
 * What people and programs asked for at run time about one instance: its registration, its admin state, its weight.
 * Survives restarts, and is shared by the agents of a site: the newer one wins, so a removal is kept for a while too.
 */
export const intentSchema = z.object({
  updatedAt: z.number(),
  by: z.string(),
  registration: z
    .object({
      id: z.string(),
      service: z.string(),
      url: z.string(),
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
  admin: z.object({ state: z.enum(['ready', 'drain', 'maint']), deadline: z.number().optional() }).optional(),
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
    if (intent.success) intents.set(key, intent.data);
  }
  return intents;
}
