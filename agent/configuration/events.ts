import type { Change } from '../core/state.ts';
import type { ConfigChange } from './difference.ts';

/** One event for each changed key. `by`: the requester; absent: the operator's file was read again. */
export const toConfigEvents = (
  changes: readonly ConfigChange[],
  by: string | undefined,
  at: number,
): Change[] =>
  changes.map(({ service, from, to, text }) => ({
    at,
    service,
    instance: '',
    kind: 'config',
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    reason: text,
    ...(by !== undefined && { by }),
  }));
