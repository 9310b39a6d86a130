import type { Config } from '../../shared/config/config.ts';
import type { Reading } from '../monitor/rules.ts';
import { type Alert, type AlertEvent, changeAfter, stepAlert } from './alert.ts';
import { isSilenced, type Silence } from './silences.ts';

/** A message that must go out. */
export interface Notice {
  event: AlertEvent;
  alert: Alert;
}

/** All alerts that fire, and what is to be told about them. No clock, no I/O. */
export interface AlertBook {
  /** One evaluation. `changed` are alerts that must be written down. */
  evaluate(list: readonly Reading[], now: number): { notices: Notice[]; changed: Alert[] };
  firing(): Alert[];
  acknowledge(id: string, by: string, now: number): Alert | null;
  /** What an earlier run, or another agent, had open. Returns those that have been raised anew meanwhile: closed. */
  load(alerts: readonly Alert[], now: number): Alert[];
  /** Takes over acknowledgements that were given to another agent. */
  hear(alerts: readonly Alert[]): void;
  clear(): void;
}

export interface BookOptions {
  config: () => Config;
  silences: () => Iterable<Silence>;
  newId: () => string;
}

export function createAlertBook({ config, silences, newId }: BookOptions): AlertBook {
  const alerts = new Map<string, Alert>();
  const keyOf = ({ rule, service }: Pick<Alert, 'rule' | 'service'>): string => `${rule} ${service}`;

  /**
   * Told now, or kept back by a silence; then it is told when the silence ends. That something is over is told at once:
   * whoever heard of it must not go on looking, and later it would be no news.
   */
  function notice(alert: Alert, event: AlertEvent, now: number): { alert: Alert; notice: Notice | null } {
    if (event !== 'resolved' && isSilenced(silences(), alert, now)) return { alert, notice: null };
    // What it became in a silence nobody heard of.
    const toldAs = event === 'resolved' ? alert.toldAs : [...new Set([...alert.toldAs, alert.severity])];
    const told = { ...alert, notified: alert.notified + 1, lastNotifiedAt: now, toldAs };
    return { alert: told, notice: { event, alert: told } };
  }

  function evaluateOne(reading: Reading, now: number): { notice: Notice | null; changed: Alert | null } {
    const key = keyOf(reading);
    const before = alerts.get(key) ?? null;
    const { thresholds } = config().monitor;
    const step = stepAlert(before, reading, thresholds[reading.rule], { now, newId });
    if (!step.alert) return { notice: null, changed: null };
    const event = toTell(step.alert, step.event ?? dueEvent(step.alert, config().alerts.repeat, now));
    const told = event ? notice(step.alert, event, now) : { alert: step.alert, notice: null };
    if (told.alert.state === 'resolved') alerts.delete(key);
    else alerts.set(key, told.alert);
    const write = step.event !== null || told.notice !== null;
    return { notice: told.notice, changed: write ? told.alert : null };
  }

  return {
    evaluate(list, now) {
      const notices: Notice[] = [];
      const changed: Alert[] = [];
      for (const reading of list) {
        const result = evaluateOne(reading, now);
        if (result.notice) notices.push(result.notice);
        if (result.changed) changed.push(result.changed);
      }
      // Alerts of services that are no longer configured: whoever was told of one is told that it is over.
      const known = new Set(list.map(keyOf));
      for (const [key, alert] of alerts) {
        if (known.has(key)) continue;
        alerts.delete(key);
        const over = ended(alert, `${alert.service} is no longer configured`, now);
        const event = toTell(over, 'resolved');
        const told = event ? notice(over, event, now) : { alert: over, notice: null };
        changed.push(told.alert);
        if (told.notice) notices.push(told.notice);
      }
      return { notices, changed };
    },
    firing: () => [...alerts.values()],
    acknowledge(id, by, now) {
      for (const [key, alert] of alerts) {
        if (alert.id !== id) continue;
        const changedAt = changeAfter(alert, now);
        const acknowledged = { ...alert, acknowledgedAt: now, acknowledgedBy: by, changedAt };
        alerts.set(key, acknowledged);
        return acknowledged;
      }
      return null;
    },
    load(list, now) {
      return list.flatMap((alert) => {
        const known = alerts.get(keyOf(alert));
        if (known?.id === alert.id) return [];
        if (known) return [ended(alert, `goes on as ${known.id}`, now)];
        alerts.set(keyOf(alert), alert);
        return [];
      });
    },
    hear(list) {
      for (const { id, severity, acknowledgedAt, acknowledgedBy, changedAt, ...about } of list) {
        const own = alerts.get(keyOf(about));
        // Another severity is from before it got worse.
        if (own?.id !== id || own.severity !== severity || acknowledgedAt === null) continue;
        const latest = Math.max(changedAt, own.changedAt);
        alerts.set(keyOf(about), { ...own, acknowledgedAt, acknowledgedBy, changedAt: latest });
      }
    },
    clear: () => alerts.clear(),
  };
}

/** Of an alert nobody was told of nobody need be told that it is over; whatever else is told of it first is that it is there. */
function toTell(alert: Alert, event: AlertEvent | null): AlertEvent | null {
  if (event === null || alert.lastNotifiedAt !== null) return event;
  return event === 'resolved' ? null : 'raised';
}

/** A repeat that is due, or the first message that a silence kept back. */
function dueEvent(alert: Alert, repeat: Config['alerts']['repeat'], now: number): AlertEvent | null {
  // Better than it is said to be: the next look tells whether that lasts.
  if (alert.state === 'resolved' || alert.calm > 0) return null;
  if (alert.notified === 0) return alert.lastNotifiedAt === null ? 'raised' : 'repeated';
  const repeats = alert.notified - 1;
  const since = now - (alert.lastNotifiedAt ?? 0);
  // Below zero the clock was set back: it must hold up no repeat.
  const due = since >= repeat[alert.severity] || since < 0;
  return alert.acknowledgedAt === null && due && repeats < repeat.atMost ? 'repeated' : null;
}

const ended = (alert: Alert, message: string, now: number): Alert => ({
  ...alert,
  ...{ state: 'resolved', resolvedAt: now, changedAt: changeAfter(alert, now), notified: 0, message },
});
