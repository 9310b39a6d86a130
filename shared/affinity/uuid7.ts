const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Creation time of a version 7 UUID (RFC 9562 §5.7), epoch milliseconds; null for other text. */
export function uuid7Time(text: string): number | null {
  if (text.length !== 36) return null;
  const match = UUID_V7.exec(text);
  return match ? Number.parseInt(`${match[1]}${match[2]}`, 16) : null;
}
