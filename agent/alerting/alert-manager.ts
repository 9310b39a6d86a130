import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../lib/log.ts';
import type { AlertRecord } from './alert.ts';
import { createAlertState } from './alert-state.ts';
import type { Dispatcher } from './dispatcher.ts';
import { type AlertMessage, toMessage } from './message.ts';
import { readRules } from './rules.ts';
import { isSilenced, type Silence } from './silences.ts';
import type { AlertStore } from './store.ts';
import type { SiteSummary } from './summary.ts';

/** Judges summaries, tells people, remembers. */
export interface AlertManager {
  evaluate(summary: SiteSummary): Promise<void>;
  firing(): AlertRecord[];
  recent(limit: number): Promise<AlertRecord[]>;
  acknowledge(id: string, by: string): AlertRecord | null;
  silences(): Silence[];
  isSilenced(alert: AlertRecord): boolean;
  addSilence(wish: Omit<Silence, 'id'>): Silence;
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
  /** Told of every message that goes out: for metrics and the dashboard. */
  onMessage?: (message: AlertMessage) => void;
  now?: () => number;
  /** How long a look waits for the database. */
  loadMs?: number;
}

export function createAlertManager(options: AlertManagerOptions): AlertManager {
  const { config, store, dispatcher, log, isLeader, onMessage = () => {} } = options;
  const { now = Date.now, loadMs = 2_000 } = options;
  const silences = new Map<string, Silence>();
  /** Orders the database has not taken yet. */
  const unsaved = new Map<string, Silence | null>();
  const book = createAlertState({ config, silences: () => silences.values(), newId: randomUUID });
  /** Whether the last look was a leader's, and whether it knows what was open before it. */
  let leading = false;
  let loaded = false;
  let reading: Promise<AlertRecord[] | null> | null = null;
  let syncing = Promise.resolve();

  /** What all agents share, silences first. Null when the database does not answer in time: it must keep no alert back. */
  async function shared(): Promise<AlertRecord[] | null> {
    syncSilences();
    reading ??= read().finally(() => {
      reading = null;
    });
    const patience = new AbortController();
    const late = sleep(loadMs, null, { signal: patience.signal }).catch(() => null);
    const found = await Promise.race([reading, late]);
    patience.abort();
    return found;
  }

  async function read(): Promise<AlertRecord[] | null> {
    try {
      await syncing;
      return await store.firing();
    } catch (error) {
      log.debug({ error: reason(error) }, 'open alerts not read');
      return null;
    }
  }

  /** Follows others' word until it leads; then what it has stands, and what it found open on taking over. */
  function follow(open: readonly AlertRecord[], leads: boolean): void {
    if (leads && loaded) {
      book.mergeAcks(open);
      return;
    }
    if (!leads || !leading) book.clear();
    const superseded = book.adopt(open, now());
    if (leads && superseded.length > 0) store.save(superseded);
  }

  /** Writes what is unsaved, then takes what all agents share. */
  function syncSilences(): void {
    syncing = syncing.then(shareSilences);
  }

  async function shareSilences(): Promise<void> {
    try {
      for (const [id, silence] of unsaved) {
        await (silence ? store.saveSilence(silence) : store.removeSilence(id));
        unsaved.delete(id);
      }
      const shared = await store.silences(now());
      if (unsaved.size > 0) return;
      silences.clear();
      for (const silence of shared) silences.set(silence.id, silence);
    } catch (error) {
      log.debug({ error: reason(error) }, 'silences not shared');
    }
  }

  return {
    async evaluate(summary) {
      const open = await shared();
      const leads = isLeader();
      if (open) follow(open, leads);
      loaded = leads && (loaded || open !== null);
      leading = leads;
      if (!leads) return;
      const at = now();
      const { notices, changed } = book.evaluate(readRules(summary, config().monitor.minimumSamples), at);
      if (changed.length > 0) store.save(changed);
      for (const { event, alert } of notices) {
        const message = toMessage(event, alert, config().site.id, at);
        // Better news goes to all who had the worse.
        const better = event === 'eased' || event === 'resolved';
        dispatcher.send(message, better ? alert.notifiedSeverities : [alert.severity]);
        onMessage(message);
      }
    },
    firing: () => book.firing(),
    recent: (limit) => store.recent(limit),
    acknowledge(id, by) {
      const alert = book.acknowledge(id, by, now());
      if (alert) store.acknowledge(alert);
      return alert;
    },
    silences: () => [...silences.values()].filter(({ until }) => until > now()),
    isSilenced: (alert) => isSilenced(silences.values(), alert, now()),
    addSilence(wish) {
      const silence = { id: randomUUID(), ...wish };
      silences.set(silence.id, silence);
      unsaved.set(silence.id, silence);
      syncSilences();
      return silence;
    },
    removeSilence(id) {
      if (!silences.delete(id)) return false;
      unsaved.set(id, null);
      syncSilences();
      return true;
    },
    sendTest(only) {
      const at = now();
      const alert: AlertRecord = {
        ...{ id: randomUUID(), rule: 'p95Ms', service: '', severity: 'warning', state: 'firing', value: 0 },
        ...{ threshold: 0, message: 'this is a test, nothing is wrong', startedAt: at, changedAt: at },
        ...{ resolvedAt: null, acknowledgedAt: null, acknowledgedBy: null, notified: 1 },
        ...{ lastNotifiedAt: at, notifiedSeverities: [], recoveryCount: 0 },
      };
      return dispatcher.test(toMessage('test', alert, config().site.id, at), only);
    },
    receivers: () => dispatcher.status(),
  };
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
