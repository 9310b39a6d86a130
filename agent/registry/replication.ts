import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';
import type { LiveState } from '../live/live-state.ts';
import { hasNewerHeartbeat, type Intent, isExpiredRemoval, parseIntents, supersedes } from './intent.ts';

/** Replicates the intents between the agents of a site through the live state. Each agent's file is authoritative. */
export interface Replication {
  publish(key: string, intent: Intent): void;
  close(): Promise<void>;
}

export interface ReplicationDeps {
  live: Pick<LiveState, 'readIntents' | 'writeIntent' | 'subscribe'>;
  localIntents(): ReadonlyMap<string, Intent>;
  merge(theirs: ReadonlyMap<string, Intent>): void;
  log: Log;
  now?: () => number;
}

/** All intents are compared this often, because messages are lost while the store is unavailable. */
const COMPARE_MS = 10_000;

export function startReplication({
  live,
  localIntents,
  merge,
  log,
  now = Date.now,
}: ReplicationDeps): Replication {
  let closed = false;
  let comparing: Promise<void> | undefined;
  let again = false;

  /** Copies the newer version of each intent in both directions. */
  async function compare(): Promise<void> {
    const theirs = parseIntents(parse(await live.readIntents()));
    if (closed) return;
    await deleteExpiredRemovals(theirs);
    merge(theirs);
    await writeNewerThan(theirs);
  }

  async function deleteExpiredRemovals(theirs: Map<string, Intent>): Promise<void> {
    for (const [key, intent] of theirs) {
      if (!isExpiredRemoval(intent, now())) continue;
      theirs.delete(key);
      await live.writeIntent(key, null);
    }
  }

  async function writeNewerThan(theirs: ReadonlyMap<string, Intent>): Promise<void> {
    for (const [key, intent] of localIntents()) {
      if (isExpiredRemoval(intent, now())) continue;
      const stored = theirs.get(key);
      if (!stored || supersedes(intent, stored) || hasNewerHeartbeat(intent, stored)) {
        await live.writeIntent(key, JSON.stringify(intent));
      }
    }
  }

  function trigger(): void {
    if (closed) return;
    if (comparing !== undefined) {
      again = true;
      return;
    }
    comparing = compare()
      .catch((error: unknown) =>
        log.debug({ error: errorMessage(error) }, 'intents not compared with the other agent'),
      )
      .finally(() => {
        comparing = undefined;
        if (again) trigger();
        again = false;
      });
  }

  const unsubscribe = live.subscribe((event) => {
    if (typeof event === 'object' && event !== null && 'kind' in event && event.kind === 'intent') trigger();
  });
  const timer = setInterval(trigger, COMPARE_MS);
  trigger();

  return {
    publish(key, intent) {
      live.writeIntent(key, JSON.stringify(intent)).catch(() => {
        // The next comparison writes it.
      });
    },
    async close() {
      closed = true;
      clearInterval(timer);
      unsubscribe();
      await comparing;
    },
  };
}

function parse(texts: { [key: string]: string }): { [key: string]: unknown } {
  return Object.fromEntries(
    Object.entries(texts).flatMap(([key, text]) => {
      try {
        return [[key, JSON.parse(text)]];
      } catch {
        return [];
      }
    }),
  );
}
