import type { Log } from '../lib/log.ts';

/** More kinds than this are one fault with changing words. */
const MAX_KINDS = 100;

/**
 * For listeners of the loop that throw. Each kind is logged once, with its stack, since what throws at one update does
 * so at the next as well; every time counts.
 */
export function createListenerErrorReporter(log: Pick<Log, 'error'>, count: (listener: string) => void) {
  const told = new Set<string>();
  return (listener: string, error: unknown): void => {
    count(listener);
    const kind = `${listener}: ${error instanceof Error ? error.message : String(error)}`;
    if (told.has(kind) || told.size >= MAX_KINDS) return;
    told.add(kind);
    log.error(
      { listener, err: error },
      'a part of the agent failed to take the news; told once, counted always',
    );
  };
}
