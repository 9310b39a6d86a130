import type { Config } from '../../../shared/config/config.ts';
import type { Change, TrafficDelta } from '../../core/state.ts';
import type { Log } from '../../lib/log.ts';
import type { HaproxyFiles } from '../render/haproxy-files.ts';
import { createSiteGauges } from '../telemetry/gauges.ts';
import type { DesiredServers } from './desired.ts';
import type { FoundManualAdmin } from './manual-admin.ts';
import { createReconciler, type Reconciler } from './reconciler.ts';

/** All HAProxies of the site: this agent's own one, whose files it writes, and those in `haproxy.others`. */
export interface HaproxyFleet {
  update(desired: DesiredServers, changes: readonly Change[]): void;
  /** The configuration changed. Adds and removes HAProxies. */
  reconfigured(): void;
  /** Ends the rounds and returns every server to HAProxy's own checks. */
  release(): Promise<void>;
  close(): void;
}

export interface HaproxyFleetOptions {
  config: () => Config;
  files: HaproxyFiles;
  /** Of this agent's own HAProxy; see `HaproxyPoll.malformed`. */
  takeMalformed(): ReadonlyMap<string, number>;
  log: Log;
  onTraffic(deltas: TrafficDelta[]): void;
  onConnectFailure(service: string, instance: string): void;
  /** The own HAProxy has reached a limit of its own. Those in `haproxy.others` report theirs to their own agents. */
  isShort(): boolean;
  /** After every round, with the current problems and manual admin states of all HAProxies, those of the own one first. */
  onRound(problems: readonly string[], manual: readonly FoundManualAdmin[]): void;
  now(): number;
}

interface FleetMember {
  /** Null: this agent's own HAProxy. */
  name: string | null;
  reconciler: Reconciler;
  problems: readonly string[];
  manual: readonly FoundManualAdmin[];
}

const NONE: ReadonlyMap<string, number> = new Map();

const ownFirst = (a: FleetMember, b: FleetMember): number =>
  Number(a.name !== null) - Number(b.name !== null);

export function createHaproxyFleet(options: HaproxyFleetOptions): HaproxyFleet {
  const { config, files, log } = options;
  const gauges = createSiteGauges();
  /** By socket. */
  const members = new Map<string, FleetMember>();
  let latest: DesiredServers | null = null;

  function addMember(socket: string, name: string | null): void {
    const reconciler = createReconciler({
      socket,
      config,
      files: name === null ? files : null,
      takeMalformed: name === null ? options.takeMalformed : () => NONE,
      onTraffic: (deltas) => options.onTraffic(gauges.sumOverSources(socket, deltas)),
      onConnectFailure: options.onConnectFailure,
      isShort: () => name === null && options.isShort(),
      onRound(problems, manual) {
        member.manual = manual.map((each) => ({ ...each, haproxy: name }));
        member.problems = name === null ? problems : problems.map((problem) => `${name}: ${problem}`);
        const all = [...members.values()].sort(ownFirst);
        options.onRound(
          all.flatMap((each) => each.problems),
          all.flatMap((each) => each.manual),
        );
      },
      onReload: (from) => log.info({ before: from, now: files.fingerprint() }, 'HAProxy reloaded'),
      now: options.now,
    });
    const member: FleetMember = { name, reconciler, problems: [], manual: [] };
    members.set(socket, member);
  }

  function syncMembers(): void {
    const { socket, others } = config().haproxy;
    const wanted = new Map<string, string | null>(others.map((other) => [other.socket, other.name]));
    wanted.set(socket, null);
    for (const [path, { name, reconciler }] of members) {
      if (wanted.get(path) === name) continue;
      reconciler.close();
      gauges.forget(path);
      members.delete(path);
    }
    for (const [path, name] of wanted) if (!members.has(path)) addMember(path, name);
  }
  syncMembers();

  return {
    update(desired, changes) {
      latest = desired;
      for (const { reconciler } of members.values()) reconciler.update(desired, changes);
    },
    reconfigured() {
      const known = new Set(members.values());
      syncMembers();
      for (const member of members.values()) {
        if (known.has(member)) member.reconciler.reconfigured();
        else if (latest) member.reconciler.update(latest, []);
      }
    },
    async release() {
      await Promise.allSettled(
        [...members.values()].map(async ({ reconciler }) => {
          await reconciler.stop();
          await reconciler.release();
        }),
      );
    },
    close() {
      for (const { reconciler } of members.values()) reconciler.close();
    },
  };
}
