/** The content of an affinity cookie: the instance of each service, and the expiry. */
export interface AffinityPins {
  /** Epoch milliseconds. */
  expires: number;
  /** Service id → instance id. */
  instances: Readonly<Record<string, string>>;
}

/** Browsers accept cookies up to 4 KB; sealing adds a third and 40 bytes. */
const MAX_TEXT = 2_800;

/** Expiry in whole minutes, so that clients with the same pins have the same text and the same sealed cookie. */
const STEP_MS = 60_000;

/** `now + ttlMs`, rounded up to a whole minute. */
export const pinExpiry = (now: number, ttlMs: number): number => Math.ceil((now + ttlMs) / STEP_MS) * STEP_MS;

/** The text to seal; null when it is too long for a cookie. */
export function encodePins(pins: AffinityPins): string | null {
  const text = JSON.stringify([pins.expires / STEP_MS, pins.instances]);
  return text.length <= MAX_TEXT ? text : null;
}

/** Null when the text has another form or has expired. */
export function decodePins(text: string, now: number): AffinityPins | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(value) || value.length !== 2) return null;
  const [minutes, instances]: unknown[] = value;
  if (
    !Number.isSafeInteger(minutes) ||
    typeof minutes !== 'number' ||
    typeof instances !== 'object' ||
    instances === null
  )
    return null;
  const expires = minutes * STEP_MS;
  if (expires <= now) return null;
  const entries = Object.entries(instances).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return { expires, instances: Object.fromEntries(entries) };
}

/** The pins with another instance for one service, and a new expiry. */
export function withPin(
  pins: AffinityPins | null,
  service: string,
  instance: string,
  expires: number,
): AffinityPins {
  return { expires, instances: { ...pins?.instances, [service]: instance } };
}
