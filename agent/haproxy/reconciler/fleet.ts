import type { Config } from '../../../shared/config/config.ts';
import type { TrafficDelta } from '../../core/state.ts';
import type { Log } from '../../lib/log.ts';
import type { HaproxyFiles } from '../render/haproxy-files.ts';
import { requestReload, waitUntil } from '../socket/master.ts';
import { createSiteGauges } from '../telemetry/gauges.ts';
import type { AdminCommandLog } from './admin-commands.ts';
import type { DesiredServers } from './desired.ts';
import { createReconciler, type PollResult, type Reconciler } from './reconciler.ts';

/** All HAProxies of the site: our own, whose files we write, and the others, steered over their sockets. */
export interface Fleet {
  /** One look at each, with repairs. Only our own is waited for; of the others the last look tells. */
  reconcile(): Promise<FleetProblems>;
  release(): Promise<void>;
  close(): void;
}

/** What stays wrong, in words for a person. */
export interface FleetProblems {
  own: string[];
  others: string[];
}

export interface FleetOptions {
  config: () => Config;
  desired: () => DesiredServers;
  /** Told of every `desired` there was. */
  orders?: AdminCommandLog;
  files: HaproxyFiles;
  log: Log;
  emit(deltas: TrafficDelta[]): void;
  hint(service: string, instance: string): void;
  now(): number;
}

/** A reload that did not help is not repeated at once: something else is wrong. */
const RELOAD_PAUSE_MS = 30_000;
const RELOAD_TIMEOUT_MS = 15_000;

export function createFleet(options: FleetOptions): Fleet {
  const { config, files, log } = options;
  const gauges = createSiteGauges();
  const steerings = new Map<string, Reconciler>();
  const visits = new WeakMap<Reconciler, { running: boolean; again: boolean; wrong: string[] }>();
  let saved = '';
  let reloaded = { at: Number.NEGATIVE_INFINITY, why: '' };
  let reloadProblem: string | null = null;

  /** One steering per socket; the configuration may name others now. */
  function current(): { own: Reconciler; others: Reconciler[] } {
    const { socket, others } = config().haproxy;
    const wanted = [{ name: 'own', socket }, ...others];
    const keys = new Set(wanted.map(({ socket: path }) => path));
    for (const [path, steering] of steerings) {
      if (keys.has(path)) continue;
      steering.close();
      gauges.forget(path);
      steerings.delete(path);
    }
    const [own, ...rest] = wanted.map(({ name, socket: path }) => {
      const steering = steerings.get(path) ?? steer(name, path);
      steerings.set(path, steering);
      return steering;
    });
    if (!own) throw new Error('there is always our own HAProxy');
    return { own, others: rest };
  }

  const steer = (name: string, socket: string): Reconciler => {
    const shared = socket !== config().haproxy.socket;
    return createReconciler({
      ...options,
      name,
      socket,
      shared,
      ...(!shared && { startedWith: files.writtenServers }),
      onTraffic: (deltas) => options.emit(gauges.sumOverSources(socket, deltas)),
      onRefused: options.hint,
    });
  };

  async function ownRound(own: Reconciler): Promise<string[]> {
    // A file that cannot be written is told, and keeps no verdict from a HAProxy that runs.
    const unwritten: string[] = [];
    const attempt = (work: Promise<void>): Promise<void> =>
      work.catch((error: unknown) => void unwritten.push(messageOf(error)));
    await attempt(files.write());
    const look = await own.poll();
    if (look.orders !== saved) {
      await attempt(files.saveServerStates(look.states));
      if (unwritten.length === 0) saved = look.orders;
    }
    if (unwritten.length > 0) return [...unwritten, ...look.refused];
    // What came meanwhile is written in the next round, which has been asked for: a reload now would bring the old files.
    if (files.isStale()) return look.refused;
    const stale = look.description !== files.fingerprint();
    if (!stale && !look.needsReload) {
      reloadProblem = null;
      return look.refused;
    }
    const why = [files.fingerprint(), ...look.changed, ...look.refused].join('; ');
    if (why === reloaded.why && performance.now() - reloaded.at < RELOAD_PAUSE_MS) {
      return reloadProblem ? [reloadProblem, ...look.refused] : look.refused;
    }
    reloaded = { at: performance.now(), why };
    reloadProblem = await reload(own, look).then(
      () => null,
      (error: unknown) => `reload: ${messageOf(error)}`,
    );
    return reloadProblem ? [reloadProblem] : [];
  }

  /** Nobody waits for it: one that hangs must not hold up a verdict at our own. What is asked meanwhile is done after. */
  async function visit(other: Reconciler): Promise<void> {
    const visit = visits.get(other) ?? { running: false, again: false, wrong: [] };
    visits.set(other, visit);
    visit.again = true;
    if (visit.running) return;
    visit.running = true;
    while (visit.again) {
      visit.again = false;
      visit.wrong = await other.poll().then(
        ({ refused }) => refused,
        (error: unknown) => [`${other.name}: ${messageOf(error)}`],
      );
    }
    visit.running = false;
  }

  async function reload(own: Reconciler, before: PollResult): Promise<void> {
    await files.saveServerStates(before.states);
    await requestReload(config().haproxy.masterSocket);
    const taken = await waitUntil(async () => {
      own.reconnect();
      const look = await own.poll().catch(() => null);
      return look !== null && look.pid !== before.pid;
    }, RELOAD_TIMEOUT_MS);
    if (!taken) throw new Error(`no new worker within ${RELOAD_TIMEOUT_MS / 1000} s`);
    log.info({ before: before.description, now: files.fingerprint() }, 'HAProxy reloaded');
  }

  return {
    async reconcile() {
      const { own, others } = current();
      for (const other of others) void visit(other);
      return {
        own: await ownRound(own).catch((error: unknown) => [messageOf(error)]),
        others: others.flatMap((other) => visits.get(other)?.wrong ?? []),
      };
    },
    async release() {
      await Promise.allSettled([...steerings.values()].map((steering) => steering.release()));
    },
    close() {
      for (const steering of steerings.values()) steering.close();
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
