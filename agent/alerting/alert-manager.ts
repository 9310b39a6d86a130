import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { isServingState } from '../../shared/serving.ts';
import type { Instance } from '../core/state.ts';
import type { Log } from '../lib/log.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import type { AlertRecord } from './alert.ts';
import { type AlertNotice, type AlertState, createAlertState, type EvaluationResult } from './alert-state.ts';
import { alertKey, type Condition } from './conditions/condition.ts';
import { conditionEndText } from './conditions/end-text.ts';
import type { Dispatcher } from './dispatcher.ts';
import { dashboardLink, runbookLink } from './links.ts';
import { type AlertMessage, type MessageContext, toMessage } from './message.ts';
import { readMeasured } from './recent.ts';
import { createSharedSilences, type SharedSilences } from './shared-silences.ts';
import type { Silence } from './silences.ts';
import type { AlertStore } from './store.ts';
import type { SiteSummary } from './summary.ts';

/** Evaluates summaries against the thresholds, saves alerts and sends notifications. Only the leader does so. */
export interface AlertManager {
  /** Compares the figures of the window with the thresholds; `newest` summarizes the newest part of the window. */
  evaluate(summary: SiteSummary, newest?: SiteSummary): Promise<void>;
  /** Applies the conditions that hold now. `read` gets the keys of the alerts that are open. */
  evaluateConditions(read: (open: ReadonlySet<string>) => Promise<Condition[]>): Promise<void>;
  firing(): AlertRecord[];
  recent(limit: number): Promise<AlertRecord[]>;
  /** Null when no such alert fires. */
  acknowledge(id: string, by: string): AlertRecord | null;
  silences(): Silence[];
  isSilenced(alert: AlertRecord): boolean;
  addSilence(silence: Omit<Silence, 'id'>): Silence;
  /** False when there is no such silence. */
  removeSilence(id: string): boolean;
  sendTest(only?: string): Promise<{ receiver: string; error: string | null }[]>;
  receivers(): ReturnType<Dispatcher['status']>;
}

export interface AlertManagerOptions {
  config: () => Config;
  store: AlertStore;
  dispatcher: Dispatcher;
  log: Log;
  isLeader: () => boolean;
  /** The present state, for the text of an alert that has ended. */
  instances?: () => ReadonlyMap<string, Instance>;
  /** Called with every notification that is sent. */
  onMessage?: (message: AlertMessage) => void;
  now?: () => number;
  /** How long an evaluation waits for the database. */
  loadMs?: number;
}

/** How often a leader that has not read the open alerts yet tries again. */
const RELOAD_MS = 5_000;

export function createAlertManager(options: AlertManagerOptions): AlertManager {
  const { config, store, dispatcher, log, isLeader, onMessage = () => {} } = options;
  const { now = Date.now, loadMs = 2_000 } = options;
  const silences = createSharedSilences({ store, log, now });
  const { instances = () => new Map() } = options;
  const state = createAlertState({
    config,
    silences: silences.all,
    newId: randomUUID,
    endText: (alert) => conditionEndText(alert, instances().values()),
    isExplained: (alert) => isExplained(alert, state.firing(), instances().values()),
  });
  const follower = createFollower({
    state,
    store,
    isLeader,
    now,
    loadOpen: createOpenAlertLoader({ store, silences, log, loadMs }),
  });
  const queue = createSerialQueue();

  function send({ event, alert }: AlertNotice, at: number): void {
    const message = toMessage(event, alert, contextOf(config(), at));
    // Everyone who received a worse severity also learns that the alert eased or resolved.
    const improved = event === 'eased' || event === 'resolved';
    dispatcher.send(message, improved ? alert.notifiedSeverities : [alert.severity]);
    onMessage(message);
  }

  function publish({ notices, changed }: EvaluationResult, at: number): void {
    if (changed.length > 0) store.save(changed);
    for (const notice of notices) send(notice, at);
  }

  return {
    evaluate: (summary, newest) =>
      queue.add(async () => {
        if (!(await follower.follow(0))) return;
        const readings = readMeasured(summary, newest ?? null, config().monitor);
        publish(state.evaluate(readings, now()), now());
      }),
    evaluateConditions: (read) =>
      queue.add(async () => {
        if (!isLeader()) return;
        if (!(await follower.follow(follower.isLoaded() ? Number.POSITIVE_INFINITY : RELOAD_MS))) return;
        const open = new Set(state.firing().map(alertKey));
        publish(state.evaluateConditions(await read(open), now()), now());
      }),
    firing: state.firing,
    recent: store.recent,
    acknowledge(id, by) {
      const alert = state.acknowledge(id, by, now());
      if (alert) store.acknowledge(alert);
      return alert;
    },
    silences: silences.active,
    isSilenced: silences.silences,
    addSilence: silences.add,
    removeSilence: silences.remove,
    sendTest: (only) => dispatcher.test(testMessage(config(), now()), only),
    receivers: () => dispatcher.status(),
  };
}

/** Keeps the state in line with the database: a standby mirrors it, and a leader takes over what is open. */
function createFollower({
  state,
  store,
  isLeader,
  now,
  loadOpen,
}: Pick<AlertManagerOptions, 'store' | 'isLeader'> & {
  state: AlertState;
  now: () => number;
  loadOpen: () => Promise<AlertRecord[] | null>;
}) {
  /** Whether this agent led at the last evaluation, and whether it has read the open alerts since it took over. */
  let wasLeader = false;
  let loaded = false;
  let loadedAt = Number.NEGATIVE_INFINITY;

  /** A standby mirrors the database. A leader adopts the open alerts once, then takes only acknowledgements from it. */
  function apply(open: readonly AlertRecord[], leads: boolean): void {
    if (leads && loaded) {
      state.mergeAcks(open);
      return;
    }
    if (!leads || !wasLeader) state.clear();
    const superseded = state.adopt(open, now());
    if (leads && superseded.length > 0) store.save(superseded);
  }

  return {
    isLoaded: () => loaded,
    /** Reads the open alerts if the last reading is `maxAgeMs` old. True when this agent leads. */
    async follow(maxAgeMs: number): Promise<boolean> {
      if (Math.abs(now() - loadedAt) < maxAgeMs) return isLeader();
      const open = await loadOpen();
      const leads = isLeader();
      if (open) apply(open, leads);
      loaded = leads && (loaded || open !== null);
      loadedAt = now();
      wasLeader = leads;
      return leads;
    },
  };
}

/**
 * Reads the open alerts of all agents, after the silences. Null when the database is slow or away: no evaluation waits
 * longer than `loadMs` for it.
 */
function createOpenAlertLoader({
  store,
  silences,
  log,
  loadMs,
}: {
  store: AlertStore;
  silences: SharedSilences;
  log: Log;
  loadMs: number;
}): () => Promise<AlertRecord[] | null> {
  let loading: Promise<AlertRecord[] | null> | null = null;

  async function readOpen(): Promise<AlertRecord[] | null> {
    try {
      await silences.synced();
      return await store.firing();
    } catch (error) {
      log.debug({ error: errorMessage(error) }, 'open alerts not read');
      return null;
    }
  }

  return async () => {
    silences.sync();
    loading ??= readOpen().finally(() => {
      loading = null;
    });
    const timeout = new AbortController();
    const expired = sleep(loadMs, null, { signal: timeout.signal }).catch(() => null);
    const open = await Promise.race([loading, expired]);
    timeout.abort();
    return open;
  };
}

function contextOf({ site, alerts }: Config, now: number): MessageContext {
  return { site: site.id, now, dashboardUrl: alerts.dashboardUrl, runbookUrl: alerts.runbookUrl };
}

/** Whether an alert that no instance serves already explains this alert of a figure. */
function isExplained(
  { rule, service }: AlertRecord,
  firing: readonly AlertRecord[],
  instances: Iterable<Instance>,
): boolean {
  if (!['availabilityPercent', 'errorPercent', 'p95Ms'].includes(rule)) return false;
  const down = firing.filter((one) => alertKey(one).startsWith('instanceDown '));
  if (down.some((one) => one.service === service && one.rule === 'serviceDown')) return true;
  const members = [...instances].filter((one) => one.service === service);
  const none = members.length > 0 && members.every(({ state }) => !isServingState(state));
  return none && down.some((one) => one.service === '');
}

function testMessage(config: Config, now: number): AlertMessage {
  const context = contextOf(config, now);
  const at = new Date(now).toISOString();
  return {
    event: 'test',
    site: config.site.id,
    at,
    id: randomUUID(),
    rule: 'p95Ms',
    service: null,
    subject: '',
    severity: 'warning',
    state: 'firing',
    value: 0,
    threshold: 0,
    message: 'this is a test; no action is needed',
    startedAt: at,
    resolvedAt: null,
    notified: 1,
    url: dashboardLink(context, ''),
    runbook: runbookLink(context, 'p95Ms'),
  };
}
