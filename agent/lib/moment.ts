import { parseDuration } from '../../shared/config/duration.ts';

export const MOMENT_FORMS =
  'how long ago, such as 6h; a time such as 2026-11-28T14:00Z; or epoch milliseconds';

/** Epoch milliseconds of MOMENT_FORMS; null for any other text. A time without a zone is UTC. */
export function parseMoment(text: string, now: number): number | null {
  const ago = parseDuration(text);
  if (ago !== null) return now - ago;
  if (/^\d{12,14}$/.test(text)) return Number(text);
  if (!/^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text))
    return null;
  const hasZone = /(?:Z|[+-]\d{2}:\d{2})$/.test(text) || text.length === 10;
  const at = Date.parse(hasZone ? text.replace(' ', 'T') : `${text.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? null : at;
}
