import type { Config } from '../../shared/config/config.ts';
import { type AlertEvent, type AlertRecord, nextChangedAt, stepAlert } from './alert.ts';
import type { RuleReading } from './rules.ts';
import { isSilenced, type Silence } from './silences.ts';

/** A notification to send. */
export interface AlertNotice {
  event: AlertEvent;
  alert: AlertRecord;
}

/** All firing alerts and the notifications they need. No clock, no I/O. */
export interface AlertState {
  /** Applies one round of readings. `changed` lists the alerts to save. */
  evaluate(readings: readonly RuleReading[], now: number): { notices: AlertNotice[]; changed: AlertRecord[] };
  firing(): AlertRecord[];
  /** Null when no such alert fires. */
  acknowledge(id: string, by: string, now: number): AlertRecord | null;
  /**
   * Takes over alerts that an earlier run or another agent left open. Returns, resolved, those whose rule this agent
   * has already raised under another id.
   */
  adopt(alerts: readonly AlertRecord[], now: number): AlertRecord[];
  /** Takes over acknowledgements given to another agent. */
  mergeAcks(alerts: readonly AlertRecord[]): void;
  clear(): void;
}

export interface AlertStateOptions {
  config: () => Config;
  silences: () => Iterable<Silence>;
  newId: () => string;
}

interface Evaluated {
  alert: AlertRecord;
  notice: AlertNotice | null;
}

const keyOf = ({ rule, service }: Pick<AlertRecord, 'rule' | 'service'>): string => `${rule} ${service}`;

export function createAlertState({ config, silences, newId }: AlertStateOptions): AlertState {
  const alerts = new Map<string, AlertRecord>();

  function evaluateReading(reading: RuleReading, now: number): (Evaluated & { save: boolean }) | null {
    const key = keyOf(reading);
    const { thresholds } = config().monitor;
    const step = stepAlert(alerts.get(key) ?? null, reading, thresholds[reading.rule], { now, newId });
    if (!step.alert) return null;
    const event = step.event ?? dueNotice(step.alert, config().alerts.repeat, now);
    const evaluated = notify(step.alert, event, silences(), now);
    if (evaluated.alert.state === 'resolved') alerts.delete(key);
    else alerts.set(key, evaluated.alert);
    return { ...evaluated, save: step.event !== null || evaluated.notice !== null };
  }

  /** Resolves the alerts of services that left the configuration. */
  function resolveRemoved(readings: readonly RuleReading[], now: number): Evaluated[] {
    const configured = new Set(readings.map(keyOf));
    const removed = [...alerts].filter(([key]) => !configured.has(key));
    return removed.map(([key, alert]) => {
      alerts.delete(key);
      const message = `${alert.service} is no longer configured`;
      return notify(resolve(alert, message, now), 'resolved', silences(), now);
    });
  }

  return {
    evaluate(readings, now) {
      const evaluated = readings.flatMap((reading) => evaluateReading(reading, now) ?? []);
      const removed = resolveRemoved(readings, now);
      return {
        notices: [...evaluated, ...removed].flatMap(({ notice }) => notice ?? []),
        changed: [...evaluated.filter(({ save }) => save), ...removed].map(({ alert }) => alert),
      };
    },
    firing: () => [...alerts.values()],
    acknowledge(id, by, now) {
      const alert = [...alerts.values()].find((one) => one.id === id);
      if (!alert) return null;
      const acknowledged: AlertRecord = {
        ...alert,
        acknowledgedAt: now,
        acknowledgedBy: by,
        changedAt: nextChangedAt(alert, now),
      };
      alerts.set(keyOf(alert), acknowledged);
      return acknowledged;
    },
    adopt(list, now) {
      return list.flatMap((alert) => {
        const own = alerts.get(keyOf(alert));
        if (!own) alerts.set(keyOf(alert), alert);
        return own && own.id !== alert.id ? [resolve(alert, `continues as ${own.id}`, now)] : [];
      });
    },
    mergeAcks(list) {
      for (const alert of list) {
        const own = alerts.get(keyOf(alert));
        // An acknowledgement of another severity was given before the alert escalated.
        if (own?.id !== alert.id || own.severity !== alert.severity || alert.acknowledgedAt === null)
          continue;
        alerts.set(keyOf(alert), {
          ...own,
          acknowledgedAt: alert.acknowledgedAt,
          acknowledgedBy: alert.acknowledgedBy,
          changedAt: Math.max(alert.changedAt, own.changedAt),
        });
      }
    },
    clear: () => alerts.clear(),
  };
}

/**
 * A silence holds back every event except `resolved`: the receivers of an earlier notification must learn that the
 * problem is over. What a silence holds back is sent when the silence ends.
 */
function notify(
  alert: AlertRecord,
  candidate: AlertEvent | null,
  silences: Iterable<Silence>,
  now: number,
): Evaluated {
  const event = adjustEvent(alert, candidate);
  if (event === null || (event !== 'resolved' && isSilenced(silences, alert, now))) {
    return { alert, notice: null };
  }
  const { severity, notifiedSeverities } = alert;
  const notified: AlertRecord = {
    ...alert,
    notified: alert.notified + 1,
    lastNotifiedAt: now,
    notifiedSeverities:
      event === 'resolved' ? notifiedSeverities : [...new Set([...notifiedSeverities, severity])],
  };
  return { alert: notified, notice: { event, alert: notified } };
}

/** Don't send "resolved" for an alert we never sent. The first notification of an alert is always "raised". */
function adjustEvent(alert: AlertRecord, event: AlertEvent | null): AlertEvent | null {
  if (event === null || alert.lastNotifiedAt !== null) return event;
  return event === 'resolved' ? null : 'raised';
}

/** `repeated` when a repeat is due, `raised` when a silence held back the first notification and has ended. */
function dueNotice(alert: AlertRecord, repeat: Config['alerts']['repeat'], now: number): AlertEvent | null {
  // While the value recovers, wait: the next evaluation shows whether it lasts.
  if (alert.state === 'resolved' || alert.recoveryCount > 0) return null;
  if (alert.notified === 0) return alert.lastNotifiedAt === null ? 'raised' : 'repeated';
  const repeats = alert.notified - 1;
  const elapsed = now - (alert.lastNotifiedAt ?? 0);
  // A negative time means that the clock was set back; that must not delay a repeat.
  const due = elapsed >= repeat[alert.severity] || elapsed < 0;
  return alert.acknowledgedAt === null && due && repeats < repeat.atMost ? 'repeated' : null;
}

const resolve = (alert: AlertRecord, message: string, now: number): AlertRecord => ({
  ...alert,
  state: 'resolved',
  resolvedAt: now,
  changedAt: nextChangedAt(alert, now),
  notified: 0,
  message,
});
