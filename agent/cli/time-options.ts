import { type Command, InvalidArgumentError } from 'commander';
import { MOMENT_FORMS, parseMoment } from '../lib/moment.ts';

/** Parser for commander: epoch milliseconds. */
export function moment(text: string): number {
  const at = parseMoment(text, Date.now());
  if (at === null) throw new InvalidArgumentError(`Expected ${MOMENT_FORMS}.`);
  return at;
}

export const withSinceUntil = (command: Command, since: string): Command =>
  command
    .option('--since <when>', since, moment)
    .option('--until <when>', 'end; a duration such as 6h (that long ago) or a time (default: now)', moment);

/** `2026-11-28 14:05` in UTC. */
export const utcMinute = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');

/** With seconds, for single events. */
export const utcSecond = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');
