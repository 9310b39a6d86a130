import type { Config } from '../../shared/config/config.ts';
import type { Condition, ConditionRule } from './conditions/condition.ts';
import { formatRuleValue, limitText, ruleName } from './figure.ts';
import type { MeasuredReading } from './recent.ts';
import type { RuleName } from './rules.ts';
import { lowIsBad, rank, type Severity, WORST_FIRST } from './severity.ts';

/** A rule that compares a figure with thresholds, or one that watches for a condition. */
export type AlertRule = RuleName | ConditionRule;

/** A rule that crossed a threshold, from `raised` to `resolved`. Instants are epoch milliseconds. */
export interface AlertRecord {
  id: string;
  rule: AlertRule;
  /** '' for rules of the site and its host. */
  service: string;
  /** Distinguishes the alerts of one rule and service: a sink, a file, a host. '' when there is only one. */
  subject: string;
  severity: Severity;
  state: 'firing' | 'resolved';
  value: number;
  /** The threshold of `severity`. */
  threshold: number;
  message: string;
  startedAt: number;
  changedAt: number;
  resolvedAt: number | null;
  acknowledgedAt: number | null;
  acknowledgedBy: string | null;
  /** Notifications sent since the last change. */
  notified: number;
  lastNotifiedAt: number | null;
  /** Severities at which notifications were sent; their receivers also get `eased` and `resolved`. */
  notifiedSeverities: readonly Severity[];
  /** Consecutive evaluations in which the value was better than `severity`. */
  recoveryCount: number;
  /** Raised again soon after it resolved: the whole window must recover, not only its newest part. */
  recurring: boolean;
}

/** Why a notification is sent. */
export type AlertEvent = 'raised' | 'escalated' | 'eased' | 'repeated' | 'resolved' | 'test';

type SeverityThresholds = Config['monitor']['thresholds'][RuleName];

/** Hysteresis: an alert eases or resolves after two evaluations that are better by a tenth of the threshold. */
const RECOVERY_MARGIN = 0.1;
const RECOVERY_EVALUATIONS = 2;

/** A condition has ended when this many consecutive evaluations, one a second, did not find it. */
const CONDITION_END_EVALUATIONS = 3;

/**
 * The worst severity whose threshold the value reaches; null when it reaches none. `margin` makes each threshold easier
 * to reach by that share of it (for availability: of its distance to 100 %).
 */
export function severityOf(
  rule: RuleName,
  value: number,
  thresholds: SeverityThresholds,
  margin = 0,
): Severity | null {
  const reaches = (threshold: number): boolean =>
    lowIsBad(rule)
      ? value < threshold + margin * (100 - threshold)
      : value >= threshold - margin * Math.abs(threshold);
  return WORST_FIRST.find((severity) => reaches(thresholds[severity])) ?? null;
}

/** `changedAt` never decreases: the database ignores a change that looks older than the stored one. */
export const nextChangedAt = (before: Pick<AlertRecord, 'changedAt'>, now: number): number =>
  Math.max(now, before.changedAt);

export interface AlertStep {
  /** Null: the rule does not fire and did not fire before. */
  alert: AlertRecord | null;
  /** Null: nothing changed that needs a notification. */
  event: AlertEvent | null;
}

/** Applies one reading to the alert of its rule and service. */
export function stepAlert(
  before: AlertRecord | null,
  reading: MeasuredReading,
  thresholds: SeverityThresholds,
  context: AlertStepContext,
): AlertStep {
  const { rule, idle } = reading;
  if (before && idle) return { alert: resolved(before, idleText(reading), context.now), event: 'resolved' };
  const { value, detail, isRecent } = before?.recurring
    ? { ...reading, isRecent: false }
    : (reading.recent ?? { ...reading, isRecent: false });
  // Too few samples: the alert stays as it is.
  if (value === null) return { alert: before, event: null };
  const severity = severityOf(rule, value, thresholds);
  const at = (level: Severity): AlertLevel => ({
    severity: level,
    threshold: thresholds[level],
    value,
    message: `${subjectOf(reading)} is ${limitText(rule, value, thresholds[level], level)}${detail ? `, ${detail}` : ''}`,
  });
  if (!before) {
    if (!severity) return { alert: null, event: null };
    return { alert: newAlert({ ...reading, subject: '' }, at(severity), context), event: 'raised' };
  }
  if (severity && rank(severity) > rank(before.severity)) return escalate(before, at(severity), context.now);
  const withMargin = severityOf(rule, value, thresholds, RECOVERY_MARGIN);
  if (rank(withMargin) >= rank(before.severity)) {
    return { alert: { ...before, ...at(before.severity), recoveryCount: 0 }, event: null };
  }
  // The newest part of the window is as long as an evaluation's interval: one such value is enough.
  if (!isRecent && before.recoveryCount + 1 < RECOVERY_EVALUATIONS) {
    return {
      alert: { ...before, ...at(before.severity), recoveryCount: before.recoveryCount + 1 },
      event: null,
    };
  }
  if (withMargin)
    return { alert: { ...changedAlert(before, context.now), ...at(withMargin) }, event: 'eased' };
  const message = `${subjectOf(reading)} recovered: ${formatRuleValue(rule, value)}`;
  return { alert: { ...resolved(before, message, context.now), value }, event: 'resolved' };
}

/** Applies the present condition, or its absence, to its alert. `endText` describes the recovery. */
export function stepCondition(
  before: AlertRecord | null,
  condition: Condition | null,
  endText: (alert: AlertRecord) => string,
  context: AlertStepContext,
): AlertStep {
  if (!before) {
    if (!condition) return { alert: null, event: null };
    return { alert: newAlert(condition, condition, context), event: 'raised' };
  }
  const better = !condition || rank(condition.severity) < rank(before.severity);
  if (better && before.recoveryCount + 1 < CONDITION_END_EVALUATIONS) {
    return { alert: { ...before, recoveryCount: before.recoveryCount + 1 }, event: null };
  }
  if (!condition) return { alert: resolved(before, endText(before), context.now), event: 'resolved' };
  const { rule } = condition;
  const level = levelOf(condition);
  if (better) return { alert: { ...changedAlert(before, context.now), ...level, rule }, event: 'eased' };
  if (rank(level.severity) === rank(before.severity)) {
    return { alert: { ...before, ...level, rule, recoveryCount: 0 }, event: null };
  }
  return escalate({ ...before, rule }, level, context.now);
}

interface AlertStepContext {
  now: number;
  newId: () => string;
}

type AlertLevel = Pick<AlertRecord, 'severity' | 'threshold' | 'value' | 'message'>;

const levelOf = ({ severity, threshold, value, message }: AlertLevel): AlertLevel => ({
  severity,
  threshold,
  value,
  message,
});

/** Starts to count notifications again. */
const changedAlert = (before: AlertRecord, now: number): AlertRecord => ({
  ...before,
  changedAt: nextChangedAt(before, now),
  notified: 0,
  recoveryCount: 0,
});

/** Drops the acknowledgement, which was for a lower severity. */
const escalate = (before: AlertRecord, level: AlertLevel, now: number): AlertStep => ({
  alert: { ...changedAlert(before, now), ...level, acknowledgedAt: null, acknowledgedBy: null },
  event: 'escalated',
});

export const resolved = (before: AlertRecord, message: string, now: number): AlertRecord => ({
  ...changedAlert(before, now),
  state: 'resolved',
  resolvedAt: now,
  message,
});

function newAlert(
  { rule, service, subject }: Pick<AlertRecord, 'rule' | 'service' | 'subject'>,
  level: AlertLevel,
  { now, newId }: AlertStepContext,
): AlertRecord {
  return {
    id: newId(),
    rule,
    service,
    subject,
    ...levelOf(level),
    state: 'firing',
    startedAt: now,
    changedAt: now,
    resolvedAt: null,
    acknowledgedAt: null,
    acknowledgedBy: null,
    notified: 0,
    lastNotifiedAt: null,
    notifiedSeverities: [],
    recoveryCount: 0,
    recurring: false,
  };
}

const subjectOf = ({ rule, service }: Pick<MeasuredReading, 'rule' | 'service'>): string =>
  service ? `${service}: ${ruleName(rule)}` : ruleName(rule);

const idleText = (reading: MeasuredReading): string =>
  `${subjectOf(reading)} is not measured any more: no traffic in the whole window`;
