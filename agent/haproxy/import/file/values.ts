import { durationText, ID_PATTERN } from '../../../../shared/config/scalars.ts';

const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const MAX_MS = 24 * 86_400_000;

/** HAProxy's duration (`10s`, `5000` in milliseconds) as acgs-lb.yaml writes it; null when it has no equivalent there. */
export function toDuration(text: string | undefined): string | null {
  const match = /^(\d{1,12})(us|ms|s|m|h|d)?$/.exec(text ?? '');
  if (!match) return null;
  const ms = Math.round(Number(match[1]) * (UNITS[match[2] ?? 'ms'] ?? 1));
  return ms >= 1 && ms <= MAX_MS ? durationText(ms) : null;
}

/** A whole number within a range; null otherwise. */
export function toInteger(text: string | undefined, min: number, max: number): number | null {
  const value = /^\d{1,9}$/.test(text ?? '') ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : null;
}

/** An id in acgs-lb.yaml. */
export const isId = (text: string): boolean => ID_PATTERN.test(text);

export interface ListenPlace {
  host: string;
  port: number;
}

/** `1.2.3.4:80`, `name:80`, `[::1]:80`, `::1:80`, `*:80`, `:80`; null for sockets, ranges and addresses without a port. */
export function toHostPort(text: string): ListenPlace | null {
  const bare = text.replace(/^(?:ipv4|ipv6|tcp|tcp4|tcp6)@/, '');
  const match = /^(.*):(\d{1,5})$/.exec(bare);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535) return null;
  const host = match[1] ?? '';
  if (/^[A-Za-z0-9._-]*$/.test(host) || host === '*') return { host, port };
  const v6 = host.replace(/^\[(.*)\]$/, '$1');
  return /^[0-9a-fA-F:.]+$/.test(v6) ? { host: `[${v6}]`, port } : null;
}
