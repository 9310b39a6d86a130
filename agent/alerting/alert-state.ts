import type { Config } from '../../shared/config/config.ts';
import { type AlertEvent, type AlertRecord, nextChangedAt, stepAlert } from './alert.ts';
import type { RuleReading } from './rules.ts';
import { isSilenced, type Silence } from './silences.ts';

/** A message that must go out. */
export interface AlertNotice {
  event: AlertEvent;
  alert: AlertRecord;
}

/** All alerts that fire, and what is to be told about them. No clock, no I/O. */
export interface AlertState {
  /** One evaluation. `changed` are alerts that must be written down. */
  evaluate(list: readonly RuleReading[], now: number): { notices: AlertNotice[]; changed: AlertRecord[] };
  firing(): AlertRecord[];
  acknowledge(id: string, by: string, now: number): AlertRecord | null;
  /** What an earlier run, or another agent, had open. Returns those that have been raised anew meanwhile: closed. */
  adopt(alerts: readonly AlertRecord[], now: number): AlertRecord[];
  /** Takes over acknowledgements that were given to another agent. */
  mergeAcks(alerts: readonly AlertRecord[]): void;
  clear(): void;
}

export interface AlertStateOptions {
  config: () => Config;
  silences: () => Iterable<Silence>;
  newId: () => string;
}

export function createAlertState({ config, silences, newId }: AlertStateOptions): AlertState {
  const alerts = new Map<string, AlertRecord>();
  const keyOf = ({ rule, service }: Pick<AlertRecord, 'rule' | 'service'>): string => `${rule} ${service}`;

  /**
   * Told now, or kept back by a silence; then it is told when the silence ends. That something is over is told at once:
   * whoever heard of it must not go on looking, and later it would be no news.
   */
  function notice(
    alert: AlertRecord,
    event: AlertEvent,
    now: number,
  ): { alert: AlertRecord; notice: AlertNotice | null } {
    if (event !== 'resolved' && isSilenced(silences(), alert, now)) return { alert, notice: null };
    // What it became in a silence nobody heard of.
    const toldAs =
      event === 'resolved'
        ? alert.notifiedSeverities
        : [...new Set([...alert.notifiedSeverities, alert.severity])];
    const told = { ...alert, notified: alert.notified + 1, lastNotifiedAt: now, notifiedSeverities: toldAs };
    return { alert: told, notice: { event, alert: told } };
  }

  function evaluateOne(
    reading: RuleReading,
    now: number,
  ): { notice: AlertNotice | null; changed: AlertRecord | null } {
    const key = keyOf(reading);
    const before = alerts.get(key) ?? null;
    const { thresholds } = config().monitor;
    const step = stepAlert(before, reading, thresholds[reading.rule], { now, newId });
    if (!step.alert) return { notice: null, changed: null };
    const event = suppressUnsent(
      step.alert,
      step.event ?? dueNotice(step.alert, config().alerts.repeat, now),
    );
    const told = event ? notice(step.alert, event, now) : { alert: step.alert, notice: null };
    if (told.alert.state === 'resolved') alerts.delete(key);
    else alerts.set(key, told.alert);
    const write = step.event !== null || told.notice !== null;
    return { notice: told.notice, changed: write ? told.alert : null };
  }

  return {
    evaluate(list, now) {
      const notices: AlertNotice[] = [];
      const changed: AlertRecord[] = [];
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
        const over = resolve(alert, `${alert.service} is no longer configured`, now);
        const event = suppressUnsent(over, 'resolved');
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
        const changedAt = nextChangedAt(alert, now);
        const acknowledged = { ...alert, acknowledgedAt: now, acknowledgedBy: by, changedAt };
        alerts.set(key, acknowledged);
        return acknowledged;
      }
      return null;
    },
    adopt(list, now) {
      return list.flatMap((alert) => {
        const known = alerts.get(keyOf(alert));
        if (known?.id === alert.id) return [];
        if (known) return [resolve(alert, `goes on as ${known.id}`, now)];
        alerts.set(keyOf(alert), alert);
        return [];
      });
    },
    mergeAcks(list) {
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
function suppressUnsent(alert: AlertRecord, event: AlertEvent | null): AlertEvent | null {
  if (event === null || alert.lastNotifiedAt !== null) return event;
  return event === 'resolved' ? null : 'raised';
}

/** A repeat that is due, or the first message that a silence kept back. */
function dueNotice(alert: AlertRecord, repeat: Config['alerts']['repeat'], now: number): AlertEvent | null {
  // Better than it is said to be: the next look tells whether that lasts.
  if (alert.state === 'resolved' || alert.recoveryCount > 0) return null;
  if (alert.notified === 0) return alert.lastNotifiedAt === null ? 'raised' : 'repeated';
  const repeats = alert.notified - 1;
  const since = now - (alert.lastNotifiedAt ?? 0);
  // Below zero the clock was set back: it must hold up no repeat.
  const due = since >= repeat[alert.severity] || since < 0;
  return alert.acknowledgedAt === null && due && repeats < repeat.atMost ? 'repeated' : null;
}

const resolve = (alert: AlertRecord, message: string, now: number): AlertRecord => ({
  ...alert,
  ...{ state: 'resolved', resolvedAt: now, changedAt: nextChangedAt(alert, now), notified: 0, message },
});
