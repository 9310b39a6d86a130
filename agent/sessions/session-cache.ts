import { z } from 'zod';
import type { MessageSigner } from '../lib/message-signer.ts';
import { type LiveKeys, TTL_SECONDS } from '../live/keys.ts';
import type { LiveEntry } from '../live/live-state.ts';
import { type GovernanceSession, type PinMove, SESSION_STATES, WORKFLOW_TYPES } from './session.ts';
import { fromRow, toRow } from './session-row.ts';

/** The value of `governance_session:<site>:<id>`: the original program's fields, then ours. Instants in epoch seconds. */
const cachedShape = z.object({
  session_id: z.string(),
  workflow_type: z.enum(WORKFLOW_TYPES),
  user_id: z.string(),
  created_at: z.number(),
  last_activity: z.number(),
  state: z.enum(SESSION_STATES),
  service_affinities: z.record(z.string(), z.string()),
  current_step: z.string(),
  completed_steps: z.array(z.string()),
  workflow_data: z.record(z.string(), z.unknown()),
  step_durations: z.record(z.string(), z.number()),
  total_duration: z.number().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  step_started_at: z.number(),
  reason: z.string().nullable(),
  moves: z.array(z.custom<PinMove>()),
  version: z.number(),
});

export const pinEntries = (keys: LiveKeys, id: string, pins: Readonly<Record<string, string>>): LiveEntry[] =>
  Object.entries(pins).map(([service, instance]) => ({
    key: keys.pin(id, service),
    value: instance,
    ttlSeconds: TTL_SECONDS.pin,
  }));

export const sessionEntries = (
  keys: LiveKeys,
  session: GovernanceSession,
  signing: CopySigning,
): LiveEntry[] => [
  {
    key: keys.session(session.id),
    value: serializeSession(session, signing),
    ttlSeconds: TTL_SECONDS.session,
  },
  ...pinEntries(keys, session.id, session.pins),
];

/** Signs the copies, because others can write to Redis. `now` is epoch milliseconds. */
export interface CopySigning {
  signer: MessageSigner;
  now: number;
}

const signedParts = (fields: object): string[] => ['session', JSON.stringify(fields)];

export function serializeSession(session: GovernanceSession, { signer, now }: CopySigning): string {
  const { id, pins, ...row } = toRow(session);
  const fields = {
    session_id: id,
    service_affinities: pins,
    ...row,
  } satisfies z.input<typeof cachedShape>;
  return JSON.stringify({ ...fields, signature: signer.sign(signedParts(fields), now) });
}

/** Null when the text is not a valid session with a valid signature. */
export function parseSession(text: string, { signer, now }: CopySigning): GovernanceSession | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { signature, ...fields } = value as { signature?: unknown };
  if (typeof signature !== 'string' || signer.verify(signedParts(fields), signature, now) === null)
    return null;
  const parsed = cachedShape.safeParse(fields);
  if (!parsed.success) return null;
  const { session_id: id, service_affinities: pins, ...row } = parsed.data;
  return fromRow({ id, pins, ...row });
}
