import { randomBytes } from 'node:crypto';

/** A version 7 UUID (RFC 9562 §5.7): 48 bits of epoch milliseconds, 74 random bits. */
export function uuid7(now: number, random: (size: number) => Buffer = randomBytes): string {
  const bytes = Buffer.alloc(16);
  random(10).copy(bytes, 6);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
