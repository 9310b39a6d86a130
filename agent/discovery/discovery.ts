import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../shared/config/config.ts';
import { type DiscoveryConfig, discoverySource } from '../../shared/config/discovery.ts';
import type { Change } from '../core/state.ts';
import { every } from '../lib/every.ts';
import { urlPolicyViolation } from '../registry/address-policy.ts';
import type { IntentRequest } from '../registry/intent-driver.ts';
import { toInstanceList } from './list.ts';
import { type DiscoveryView, planList, planRemovals } from './plan.ts';
import { createReader } from './reader.ts';
import type { SourceList } from './source.ts';
import { newSourceStatus, type SourceOutcome, type SourceStatus, stepSourceStatus } from './status.ts';
import { startWatcher, type Watcher } from './watcher.ts';

/**
 * Follows the sources of services. Only the leader of the site reads them. The registry saves and replicates what they
 * list, so every agent has the same instances, even while a source or the leader is unavailable.
 */
export interface Discovery {
  /** Starts, restarts and stops watching sources after a change of the configuration. */
  sync(): void;
  /** By service, in the order of the configuration. */
  statuses(): SourceStatus[];
  close(): Promise<void>;
}

export interface DiscoveryDeps {
  config(): Config;
  view(): DiscoveryView;
  /** Whether this agent reads the sources: it is the leader, or the site has no replication. */
  isReading(): boolean;
  variable(name: string): string | undefined;
  apply(requests: readonly IntentRequest[]): void;
  onEvent(event: Change): void;
  now?: () => number;
}

interface WatchedSource {
  settings: DiscoveryConfig;
  watcher: Watcher;
  status: SourceStatus;
}

const REMOVALS_EVERY_MS = 1_000;

export function startDiscovery(deps: DiscoveryDeps): Discovery {
  const { config, isReading, now = Date.now } = deps;
  const sources = new Map<string, WatchedSource>();
  const ending = new Set<Promise<void>>();

  function start(service: string, settings: DiscoveryConfig): void {
    const { text } = discoverySource(settings);
    const source = { settings, status: newSourceStatus(service, text, now()) };
    const report = (outcome: SourceOutcome): void => {
      const { status, event } = stepSourceStatus(source.status, outcome, now());
      source.status = status;
      if (event) deps.onEvent(event);
    };
    const watcher = startWatcher({
      reader: createReader(settings, deps.variable),
      intervalMs: settings.interval,
      isReading,
      async onList(answer) {
        const refusals = await applyList(deps, { service, settings, source: text }, answer);
        report({ kind: 'read', refusals });
      },
      onFailure: (problem) => report({ kind: 'failed', problem }),
      onStandby: () => report({ kind: 'standby' }),
    });
    sources.set(service, Object.assign(source, { watcher }));
  }

  function end(service: string, { watcher }: WatchedSource): void {
    sources.delete(service);
    const closed = watcher.close().finally(() => ending.delete(closed));
    ending.add(closed);
  }

  function sync(): void {
    const { services } = config();
    for (const [service, source] of sources) {
      const wanted = services[service]?.instancesFrom;
      if (!isDeepStrictEqual(wanted, source.settings)) end(service, source);
    }
    for (const { id, instancesFrom } of Object.values(services)) {
      if (instancesFrom && !sources.has(id)) start(id, instancesFrom);
    }
    removeLeft();
  }

  function removeLeft(): void {
    if (isReading()) deps.apply(planRemovals(config().services, deps.view(), now()));
  }

  sync();
  const stopTimer = every(REMOVALS_EVERY_MS, removeLeft);
  return {
    sync,
    statuses: () => Object.keys(config().services).flatMap((service) => sources.get(service)?.status ?? []),
    async close() {
      stopTimer();
      for (const [service, source] of sources) end(service, source);
      await Promise.all(ending);
    },
  };
}

/** Returns why the list removes no instance; empty if it is applied in full. */
async function applyList(
  { config, view, apply, now = Date.now }: DiscoveryDeps,
  { service, settings, source }: { service: string; settings: DiscoveryConfig; source: string },
  answer: SourceList,
): Promise<string[]> {
  const checked = await Promise.all(
    answer.instances.map(async (entry) => ({
      entry,
      violation: await urlPolicyViolation(entry, config()),
    })),
  );
  const allowed = checked.filter(({ violation }) => violation === null).map(({ entry }) => entry);
  const violations = checked.flatMap(({ violation }) => violation ?? []);
  const list = toInstanceList(allowed, [...answer.problems, ...violations], { service, source });
  // The configuration may have changed while names were resolved.
  if (!isDeepStrictEqual(config().services[service]?.instancesFrom, settings)) return [];
  const { requests, refusals } = planList({ service, limits: settings, list }, view(), now());
  apply(requests);
  return refusals;
}
