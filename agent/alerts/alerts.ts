import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../log.ts';
import { readings } from '../monitor/rules.ts';
import type { Summary } from '../monitor/summary.ts';
import type { Alert } from './alert.ts';
import { createAlertBook } from './book.ts';
import type { Dispatcher } from './dispatch.ts';
import { type AlertMessage, toMessage } from './message.ts';
import { isSilenced, type Silence } from './silences.ts';
import type { AlertStore } from './store.ts';

/** Judges summaries, tells people, remembers. */
export interface Alerts {
  judge(summary: Summary): Promise<void>;
  firing(): Alert[];
  recent(limit: number): Promise<Alert[]>;
  acknowledge(id: string, by: string): Alert | null;
  silences(): Silence[];
  isSilenced(alert: Alert): boolean;
  silence(wish: Omit<Silence, 'id'>): Silence;
  unsilence(id: string): boolean;
  test(only?: string): Promise<{ receiver: string; error: string | null }[]>;
  receivers(): ReturnType<Dispatcher['status']>;
}

export interface AlertsOptions {
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

export function createAlerts(options: AlertsOptions): Alerts {
  const { config, store, dispatcher, log, isLeader, onMessage = () => {} } = options;
  const { now = Date.now, loadMs = 2_000 } = options;
  const silences = new Map<string, Silence>();
  /** Orders the database has not taken yet. */
  const unsaved = new Map<string, Silence | null>();
  const book = createAlertBook({ config, silences: () => silences.values(), newId: randomUUID });
  /** Whether the last look was a leader's, and whether it knows what was open before it. */
  let leading = false;
  let loaded = false;
  let reading: Promise<Alert[] | null> | null = null;
  let syncing = Promise.resolve();

  /** What all agents share, silences first. Null when the database does not answer in time: it must keep no alert back. */
  async function shared(): Promise<Alert[] | null> {
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

  async function read(): Promise<Alert[] | null> {
    try {
      await syncing;
      return await store.firing();
    } catch (error) {
      log.debug({ error: reason(error) }, 'open alerts not read');
      return null;
    }
  }

  /** Follows others' word until it leads; then what it has stands, and what it found open on taking over. */
  function follow(open: readonly Alert[], leads: boolean): void {
    if (leads && loaded) {
      book.hear(open);
      return;
    }
    if (!leads || !leading) book.clear();
    const superseded = book.load(open, now());
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
    async judge(summary) {
      const open = await shared();
      const leads = isLeader();
      if (open) follow(open, leads);
      loaded = leads && (loaded || open !== null);
      leading = leads;
      if (!leads) return;
      const at = now();
      const { notices, changed } = book.evaluate(readings(summary, config().monitor.minimumSamples), at);
      if (changed.length > 0) store.save(changed);
      for (const { event, alert } of notices) {
        const message = toMessage(event, alert, config().site.id, at);
        // Better news goes to all who had the worse.
        const better = event === 'eased' || event === 'resolved';
        dispatcher.send(message, better ? alert.toldAs : [alert.severity]);
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
    silence(wish) {
      const silence = { id: randomUUID(), ...wish };
      silences.set(silence.id, silence);
      unsaved.set(silence.id, silence);
      syncSilences();
      return silence;
    },
    unsilence(id) {
      if (!silences.delete(id)) return false;
      unsaved.set(id, null);
      syncSilences();
      return true;
    },
    test(only) {
      const at = now();
      const alert: Alert = {
        ...{ id: randomUUID(), rule: 'p95Ms', service: '', severity: 'warning', state: 'firing', value: 0 },
        ...{ threshold: 0, message: 'this is a test, nothing is wrong', startedAt: at, changedAt: at },
        ...{ resolvedAt: null, acknowledgedAt: null, acknowledgedBy: null, notified: 1 },
        ...{ lastNotifiedAt: at, toldAs: [], calm: 0 },
      };
      return dispatcher.test(toMessage('test', alert, config().site.id, at), only);
    },
    receivers: () => dispatcher.status(),
  };
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
