import type { Config } from '../../shared/config/config.ts';
import {
  type AlertEvent,
  type AlertRecord,
  type AlertStep,
  nextChangedAt,
  resolved,
  stepAlert,
  stepCondition,
} from './alert.ts';
import { alertKey, type Condition, isConditionRule } from './conditions/condition.ts';
import type { MeasuredReading } from './recent.ts';
import { isSilenced, type Silence } from './silences.ts';

/** A notification to send. */
export interface AlertNotice {
  event: AlertEvent;
  alert: AlertRecord;
}

/** All firing alerts and the notifications they need. No clock, no I/O. */
export interface AlertState {
  /** Applies one round of readings. */
  evaluate(readings: readonly MeasuredReading[], now: number): EvaluationResult;
  /** Applies all conditions that hold now. */
  evaluateConditions(conditions: readonly Condition[], now: number): EvaluationResult;
  firing(): AlertRecord[];
  /** Null when no such alert fires. */
  acknowledge(id: string, by: string, now: number): AlertRecord | null;
  /**
   * Takes over alerts that an earlier run or another agent left open. When this agent has already raised the same rule
   * under another id, resolves the adopted alert and returns it.
   */
  adopt(alerts: readonly AlertRecord[], now: number): AlertRecord[];
  /** Takes over acknowledgements given to another agent. */
  mergeAcks(alerts: readonly AlertRecord[]): void;
  clear(): void;
}

export interface EvaluationResult {
  notices: AlertNotice[];
  /** The alerts to save. */
  changed: AlertRecord[];
}

export interface AlertStateOptions {
  config: () => Config;
  silences: () => Iterable<Silence>;
  newId: () => string;
  /** The text of an alert whose condition has ended. */
  endText?: (alert: AlertRecord) => string;
  /** Whether another alert already reports the cause of this one. Then it is held back as by a silence. */
  isExplained?: (alert: AlertRecord, firing: Iterable<AlertRecord>) => boolean;
}

interface Evaluated {
  alert: AlertRecord;
  notice: AlertNotice | null;
}

export function createAlertState(options: AlertStateOptions): AlertState {
  const { config, silences, newId, endText = ({ message }) => message, isExplained = () => false } = options;
  const alerts = new Map<string, AlertRecord>();
  /** When each rule last resolved, to recognize one that comes and goes. */
  const lastResolved = new Map<string, number>();

  function isHeldBack(alert: AlertRecord, now: number): boolean {
    return isSilenced(silences(), alert, now) || isExplained(alert, alerts.values());
  }

  function store(key: string, step: AlertStep, now: number): (Evaluated & { save: boolean }) | null {
    if (!step.alert) return null;
    const event = step.event ?? dueNotice(step.alert, config().alerts.repeat, now);
    const evaluated = notify(step.alert, event, isHeldBack(step.alert, now), now);
    if (evaluated.alert.state === 'resolved') {
      alerts.delete(key);
      lastResolved.set(key, now);
    } else {
      alerts.set(key, evaluated.alert);
    }
    return { ...evaluated, save: step.event !== null || evaluated.notice !== null };
  }

  function evaluateReading(reading: MeasuredReading, now: number) {
    const key = alertKey({ ...reading, subject: '' });
    const { thresholds, window } = config().monitor;
    const before = alerts.get(key) ?? null;
    const step = stepAlert(before, reading, thresholds[reading.rule], { now, newId });
    const sinceResolved = now - (lastResolved.get(key) ?? Number.NEGATIVE_INFINITY);
    const recurring = !before && step.alert !== null && sinceResolved >= 0 && sinceResolved < window;
    return store(key, recurring && step.alert ? { ...step, alert: { ...step.alert, recurring } } : step, now);
  }

  /** Resolves the alerts of services that left the configuration. */
  function resolveRemoved(readings: readonly MeasuredReading[], now: number): Evaluated[] {
    const configured = new Set(readings.map((reading) => alertKey({ ...reading, subject: '' })));
    const removed = [...alerts].filter(([key, { rule }]) => !isConditionRule(rule) && !configured.has(key));
    return removed.map(([key, alert]) => {
      alerts.delete(key);
      const message = `${alert.service} is no longer configured`;
      return notify(resolved(alert, message, now), 'resolved', isHeldBack(alert, now), now);
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
    evaluateConditions(conditions, now) {
      const present = new Map(conditions.map((condition) => [alertKey(condition), condition]));
      const open = [...alerts].filter(([, { rule }]) => isConditionRule(rule)).map(([key]) => key);
      const evaluated = [...new Set([...open, ...present.keys()])].flatMap((key) => {
        const step = stepCondition(alerts.get(key) ?? null, present.get(key) ?? null, endText, {
          now,
          newId,
        });
        return store(key, step, now) ?? [];
      });
      return {
        notices: evaluated.flatMap(({ notice }) => notice ?? []),
        changed: evaluated.filter(({ save }) => save).map(({ alert }) => alert),
      };
    },
    firing: () => [...alerts.values()],
    acknowledge: (id, by, now) => acknowledge(alerts, { id, by, now }),
    adopt: (list, now) => list.flatMap((alert) => adopt(alerts, alert, now)),
    mergeAcks(list) {
      for (const alert of list) mergeAck(alerts, alert);
    },
    clear: () => alerts.clear(),
  };
}

type OpenAlerts = Map<string, AlertRecord>;

function acknowledge(alerts: OpenAlerts, { id, by, now }: { id: string; by: string; now: number }) {
  const alert = [...alerts.values()].find((one) => one.id === id);
  if (!alert) return null;
  const acknowledged: AlertRecord = {
    ...alert,
    acknowledgedAt: now,
    acknowledgedBy: by,
    changedAt: nextChangedAt(alert, now),
  };
  alerts.set(alertKey(alert), acknowledged);
  return acknowledged;
}

function adopt(alerts: OpenAlerts, alert: AlertRecord, now: number): AlertRecord[] {
  const own = alerts.get(alertKey(alert));
  if (!own) alerts.set(alertKey(alert), alert);
  return own && own.id !== alert.id ? [resolved(alert, `continues as ${own.id}`, now)] : [];
}

function mergeAck(alerts: OpenAlerts, alert: AlertRecord): void {
  const own = alerts.get(alertKey(alert));
  // An acknowledgement of another severity was given before the alert escalated.
  if (own?.id !== alert.id || own.severity !== alert.severity || alert.acknowledgedAt === null) return;
  alerts.set(alertKey(alert), {
    ...own,
    acknowledgedAt: alert.acknowledgedAt,
    acknowledgedBy: alert.acknowledgedBy,
    changedAt: Math.max(alert.changedAt, own.changedAt),
  });
}

/**
 * A silence holds back every event except `resolved`: the receivers of an earlier notification must learn that the
 * problem is over. What a silence holds back is sent when the silence ends.
 */
function notify(
  alert: AlertRecord,
  candidate: AlertEvent | null,
  isHeldBack: boolean,
  now: number,
): Evaluated {
  const event = adjustEvent(alert, candidate);
  if (event === null || (event !== 'resolved' && isHeldBack)) {
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

/**
 * The pace of repeats: `alerts.repeat`. `repeated` when a repeat is due; `raised` when the silence that held back the
 * first notification has ended.
 */
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
