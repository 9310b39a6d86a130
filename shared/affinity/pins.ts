/** What an affinity cookie says: which instance each service is pinned to, and until when. */
export interface AffinityPins {
  /** Epoch milliseconds. */
  expires: number;
  /** Service id → instance id. */
  instances: Readonly<Record<string, string>>;
}

/** Browsers keep cookies up to 4 KB; sealing adds a third and 40 bytes. */
const MAX_TEXT = 2_800;

/** Minutes are enough, and make the text (so also its sealed form) the same for all who hold the same pins. */
const STEP_MS = 60_000;

/** Up to the next whole minute after `now + ttlMs`. */
export const pinExpiry = (now: number, ttlMs: number): number => Math.ceil((now + ttlMs) / STEP_MS) * STEP_MS;

/** Text to be sealed, null when it would not fit a cookie. */
export function encodePins(pins: AffinityPins): string | null {
  const text = JSON.stringify([pins.expires / STEP_MS, pins.instances]);
  return text.length <= MAX_TEXT ? text : null;
}

/** Null when the text is not ours or has expired. */
export function decodePins(text: string, now: number): AffinityPins | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(value) || value.length !== 2) return null;
  const [minutes, instances]: unknown[] = value;
  if (typeof minutes !== 'number' || typeof instances !== 'object' || instances === null) return null;
  const expires = minutes * STEP_MS;
  if (expires <= now) return null;
  const entries = Object.entries(instances).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return { expires, instances: Object.fromEntries(entries) };
}

/** The same pins with one service's changed. */
export function withPin(
  pins: AffinityPins | null,
  service: string,
  instance: string,
  expires: number,
): AffinityPins {
  return { expires, instances: { ...pins?.instances, [service]: instance } };
}
