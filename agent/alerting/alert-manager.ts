import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';
import type { AlertRecord } from './alert.ts';
import { type AlertNotice, createAlertState } from './alert-state.ts';
import type { Dispatcher } from './dispatcher.ts';
import { type AlertMessage, toMessage } from './message.ts';
import { readRules } from './rules.ts';
import { createSharedSilences, type SharedSilences } from './shared-silences.ts';
import type { Silence } from './silences.ts';
import type { AlertStore } from './store.ts';
import type { SiteSummary } from './summary.ts';

/** Evaluates summaries against the thresholds, saves alerts and sends notifications. Only the leader does so. */
export interface AlertManager {
  evaluate(summary: SiteSummary): Promise<void>;
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
  /** Called with every notification that is sent. */
  onMessage?: (message: AlertMessage) => void;
  now?: () => number;
  /** How long an evaluation waits for the database. */
  loadMs?: number;
}

export function createAlertManager(options: AlertManagerOptions): AlertManager {
  const { config, store, dispatcher, log, isLeader, onMessage = () => {} } = options;
  const { now = Date.now, loadMs = 2_000 } = options;
  const silences = createSharedSilences({ store, log, now });
  const state = createAlertState({ config, silences: silences.all, newId: randomUUID });
  /** Whether this agent led at the last evaluation, and whether it has read the open alerts since it took over. */
  let wasLeader = false;
  let loaded = false;
  const loadOpen = createOpenAlertLoader({ store, silences, log, loadMs });

  /** A standby mirrors the database. A leader adopts the open alerts once, then takes only acknowledgements from it. */
  function follow(open: readonly AlertRecord[], leads: boolean): void {
    if (leads && loaded) {
      state.mergeAcks(open);
      return;
    }
    if (!leads || !wasLeader) state.clear();
    const superseded = state.adopt(open, now());
    if (leads && superseded.length > 0) store.save(superseded);
  }

  function send({ event, alert }: AlertNotice, at: number): void {
    const message = toMessage(event, alert, config().site.id, at);
    // Everyone who received a worse severity also learns that the alert eased or resolved.
    const improved = event === 'eased' || event === 'resolved';
    dispatcher.send(message, improved ? alert.notifiedSeverities : [alert.severity]);
    onMessage(message);
  }

  return {
    async evaluate(summary) {
      const open = await loadOpen();
      const leads = isLeader();
      if (open) follow(open, leads);
      loaded = leads && (loaded || open !== null);
      wasLeader = leads;
      if (!leads) return;
      const at = now();
      const { notices, changed } = state.evaluate(readRules(summary, config().monitor.minimumSamples), at);
      if (changed.length > 0) store.save(changed);
      for (const notice of notices) send(notice, at);
    },
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
    sendTest: (only) => dispatcher.test(testMessage(config().site.id, now()), only),
    receivers: () => dispatcher.status(),
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

function testMessage(site: string, now: number): AlertMessage {
  const at = new Date(now).toISOString();
  return {
    event: 'test',
    site,
    at,
    id: randomUUID(),
    rule: 'p95Ms',
    service: null,
    severity: 'warning',
    state: 'firing',
    value: 0,
    threshold: 0,
    message: 'this is a test; no action is needed',
    startedAt: at,
    resolvedAt: null,
    notified: 1,
  };
}
