import { z } from '@hono/zod-openapi';
import { parseDuration } from '../../../shared/config/duration.ts';
import { MOMENT_FORMS, parseMoment } from '../../lib/moment.ts';
import { ProblemError } from './problem.ts';

const name = z.string().min(1).max(128);
const moment = z.string().max(40).openapi({ description: MOMENT_FORMS, example: '6h' });

export const subjectQuery = { service: name.optional(), instance: name.optional() };

export const historyQuery = z.object({
  ...subjectQuery,
  window: z
    .string()
    .max(40)
    .optional()
    .openapi({ description: 'how far back from now, 5m to 400d; default 1h', example: '24h' }),
  since: moment.optional(),
  until: moment.optional().openapi({ description: 'default: now' }),
});

export const sinceUntil = { since: moment.optional(), until: moment.optional() };

const MIN_SPAN_MS = 5 * 60_000;
const MAX_SPAN_MS = 400 * 86_400_000;
const DEFAULT_SPAN_MS = 3_600_000;

interface RangeTexts {
  window?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

/** Epoch milliseconds of `window`, or of `since` and `until`. */
export function parseRange({ window, since, until }: RangeTexts, now: number): { from: number; to: number } {
  if (window !== undefined && (since !== undefined || until !== undefined)) {
    throw badRequest('window: cannot be combined with since or until');
  }
  if (until !== undefined && since === undefined) throw badRequest('until: needs since');
  const to = Math.min(momentOf('until', until, now) ?? now, now);
  const from = momentOf('since', since, now) ?? to - spanOf(window);
  const span = to - from;
  if (span < 0 && since !== undefined) {
    throw badRequest(`since: must be before ${until === undefined ? 'now' : 'until'}`);
  }
  if (span < MIN_SPAN_MS || span > MAX_SPAN_MS) {
    throw badRequest(`${window === undefined ? 'since' : 'window'}: expected a range of 5m to 400d`);
  }
  return { from, to };
}

export function momentOf(field: string, text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const at = parseMoment(text, now);
  if (at === null) throw badRequest(`${field}: expected ${MOMENT_FORMS}; found ${JSON.stringify(text)}`);
  return at;
}

function spanOf(window: string | undefined): number {
  if (window === undefined) return DEFAULT_SPAN_MS;
  const span = parseDuration(window);
  if (span === null)
    throw badRequest(`window: expected a duration such as 15m, 6h or 30d; found ${JSON.stringify(window)}`);
  return span;
}

const badRequest = (detail: string): ProblemError => new ProblemError(400, 'Bad request', detail);
