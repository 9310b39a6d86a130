import type { Change } from '../core/state.ts';
import { firstProblem } from '../lib/first-problem.ts';
import type { ConfigChange } from './difference.ts';

/** The operator's file was refused: the event names the first problem. */
export function toRefusedEvent(problem: string, at: number): Change {
  return { at, service: '', instance: '', kind: 'config', reason: `file refused: ${firstProblem(problem)}` };
}

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
