import { ProblemError } from './problem.ts';

/**
 * Limits how many database queries the API runs: one at a time for each client, `running` in all. Others wait in order;
 * past the limits a request gets 429.
 */
export interface QueryGate {
  /** When `signal` is aborted (the client has gone), a waiting query is dropped at its turn. */
  run<T>(client: string, signal: AbortSignal, query: () => Promise<T>): Promise<T>;
}

interface Waiting {
  client: string;
  start(): void;
}

const LIMITS = { perClient: 8, all: 64, running: 2 };

export function createQueryGate(limits = LIMITS): QueryGate {
  const busy = new Set<string>();
  let waiting: Waiting[] = [];

  function startNext(): void {
    while (busy.size < limits.running) {
      const next = waiting.find(({ client }) => !busy.has(client));
      if (!next) return;
      waiting = waiting.filter((one) => one !== next);
      busy.add(next.client);
      next.start();
    }
  }

  return {
    async run(client, signal, query) {
      const own = waiting.filter((one) => one.client === client).length;
      if (own >= limits.perClient || waiting.length >= limits.all) {
        throw new ProblemError(
          429,
          'Too many queries',
          `${own >= limits.perClient ? own : waiting.length} queries of history are waiting; try again in a second`,
          { headers: { 'retry-after': '1' } },
        );
      }
      await new Promise<void>((start) => {
        waiting.push({ client, start });
        startNext();
      });
      try {
        signal.throwIfAborted();
        return await query();
      } finally {
        busy.delete(client);
        startNext();
      }
    },
  };
}
