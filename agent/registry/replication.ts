import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';
import type { LiveState } from '../live/live-state.ts';
import { hasNewerHeartbeat, type Intent, isExpiredRemoval, supersedes } from './intent.ts';
import type { SignedIntents } from './signed-intents.ts';

/** Replicates the intents between the agents of a site through the live state. Each agent's file is authoritative. */
export interface Replication {
  publish(key: string, intent: Intent): void;
  close(): Promise<void>;
}

export interface ReplicationDeps {
  live: Pick<LiveState, 'readIntents' | 'writeIntent' | 'subscribe'>;
  signed: SignedIntents;
  localIntents(): ReadonlyMap<string, Intent>;
  merge(theirs: ReadonlyMap<string, Intent>): void;
  log: Log;
  now?: () => number;
}

/** All intents are compared this often, because messages are lost while the store is unavailable. */
const COMPARE_MS = 10_000;
/** Minimum time between comparisons after messages, because anyone who can write to the store can send messages. */
const MIN_DISTANCE_MS = 200;
/** A signature is renewed well before it expires. */
const SIGN_AGAIN_MS = 3_600_000;

export function startReplication({
  live,
  signed,
  localIntents,
  merge,
  log,
  now = Date.now,
}: ReplicationDeps): Replication {
  let closed = false;
  let comparing: Promise<void> | undefined;
  let again = false;
  let retry: NodeJS.Timeout | undefined;
  let ignored = 0;

  /** Copies the newer version of each intent in both directions. */
  async function compare(): Promise<void> {
    const { intents: theirs, signedAt, ignored: found } = signed.read(await live.readIntents());
    if (closed) return;
    reportIgnored(found);
    await deleteExpiredRemovals(theirs);
    merge(theirs);
    await writeNewerThan(theirs, signedAt);
  }

  async function deleteExpiredRemovals(theirs: Map<string, Intent>): Promise<void> {
    for (const [key, intent] of theirs) {
      if (!isExpiredRemoval(intent, now())) continue;
      theirs.delete(key);
      await live.writeIntent(key, null);
    }
  }

  async function writeNewerThan(
    theirs: ReadonlyMap<string, Intent>,
    signedAt: ReadonlyMap<string, number>,
  ): Promise<void> {
    for (const [key, intent] of localIntents()) {
      if (isExpiredRemoval(intent, now())) continue;
      const stored = theirs.get(key);
      const isNewer = !stored || supersedes(intent, stored) || hasNewerHeartbeat(intent, stored);
      const isOldSignature = now() - (signedAt.get(key) ?? 0) > SIGN_AGAIN_MS;
      if (isNewer || isOldSignature) await live.writeIntent(key, signed.write(key, intent));
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
        log.debug({ error: errorMessage(error) }, 'intents not compared with the other agents'),
      )
      .finally(() => {
        comparing = undefined;
        if (again && !closed) retry = setTimeout(trigger, MIN_DISTANCE_MS);
        again = false;
      });
  }

  /** Before the first exchange after an upgrade, Redis may hold values without a signature. */
  function reportIgnored(found: number): void {
    if (found > ignored)
      log.warn({ values: found }, 'ignoring intents in Redis that no agent of this site signed');
    ignored = found;
  }

  const unsubscribe = live.subscribe((event) => {
    if (typeof event === 'object' && event !== null && 'kind' in event && event.kind === 'intent') trigger();
  });
  const timer = setInterval(trigger, COMPARE_MS);
  trigger();

  return {
    publish(key, intent) {
      live.writeIntent(key, signed.write(key, intent)).catch(() => {
        // The next comparison writes it.
      });
    },
    async close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(retry);
      unsubscribe();
      await comparing;
    },
  };
}
