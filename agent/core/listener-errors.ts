import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';

/** More different messages than this come from one error with a variable text. */
const MAX_KINDS = 100;

/**
 * Reports errors that listeners of the loop throw. Each message is logged once with its stack, because the next update
 * usually causes the same error; every error is counted.
 */
export function createListenerErrorReporter(log: Pick<Log, 'error'>, count: (listener: string) => void) {
  const logged = new Set<string>();
  return (listener: string, error: unknown): void => {
    count(listener);
    const kind = `${listener}: ${errorMessage(error)}`;
    if (logged.has(kind) || logged.size >= MAX_KINDS) return;
    logged.add(kind);
    log.error({ listener, err: error }, 'a listener threw an error; logged once, counted every time');
  };
}
