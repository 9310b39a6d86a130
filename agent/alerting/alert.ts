import type { Config } from '../../shared/config/config.ts';
import type { SEVERITIES } from '../../shared/config/monitor.ts';
import type { RuleName, RuleReading } from './rules.ts';

export type Severity = (typeof SEVERITIES)[number];

/** A rule that crossed a threshold, from `raised` to `resolved`. Instants are epoch milliseconds. */
export interface AlertRecord {
  id: string;
  rule: RuleName;
  /** '' for rules of the site and its host. */
  service: string;
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
}

/** Why a notification is sent. */
export type AlertEvent = 'raised' | 'escalated' | 'eased' | 'repeated' | 'resolved' | 'test';

type SeverityThresholds = Config['monitor']['thresholds'][RuleName];

/** Hysteresis: an alert eases or resolves after two evaluations that are better by a tenth of the threshold. */
const RECOVERY_MARGIN = 0.1;
const RECOVERY_EVALUATIONS = 2;

export const WORST_FIRST: readonly Severity[] = ['emergency', 'critical', 'warning'];

/** Availability is bad when low; every other value is bad when high. */
const lowIsBad = (rule: RuleName): boolean => rule === 'availabilityPercent';

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

const rank = (severity: Severity | null): number => (severity ? 3 - WORST_FIRST.indexOf(severity) : 0);

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
  reading: RuleReading,
  thresholds: SeverityThresholds,
  context: { now: number; newId: () => string },
): AlertStep {
  const { rule, value } = reading;
  // Too few samples: the alert stays as it is.
  if (value === null) return { alert: before, event: null };
  const severity = severityOf(rule, value, thresholds);
  const at = (level: Severity) => ({
    severity: level,
    threshold: thresholds[level],
    value,
    message: describeReading(reading, value, thresholds[level], level),
  });
  if (!before) {
    if (!severity) return { alert: null, event: null };
    return { alert: newAlert(reading, at(severity), context), event: 'raised' };
  }
  const changed = { ...before, changedAt: nextChangedAt(before, context.now), notified: 0, recoveryCount: 0 };
  if (severity && rank(severity) > rank(before.severity)) {
    // The acknowledgement was for a lower severity.
    const alert: AlertRecord = { ...changed, ...at(severity), acknowledgedAt: null, acknowledgedBy: null };
    return { alert, event: 'escalated' };
  }
  const withMargin = severityOf(rule, value, thresholds, RECOVERY_MARGIN);
  if (rank(withMargin) >= rank(before.severity)) {
    return { alert: { ...before, ...at(before.severity), recoveryCount: 0 }, event: null };
  }
  if (before.recoveryCount + 1 < RECOVERY_EVALUATIONS) {
    return { alert: { ...before, value, recoveryCount: before.recoveryCount + 1 }, event: null };
  }
  if (withMargin) return { alert: { ...changed, ...at(withMargin) }, event: 'eased' };
  const message = `${subject(reading)} recovered: ${formatRuleValue(rule, value)}`;
  return {
    alert: { ...changed, state: 'resolved', resolvedAt: context.now, value, message },
    event: 'resolved',
  };
}

function newAlert(
  { rule, service }: RuleReading,
  level: Pick<AlertRecord, 'severity' | 'threshold' | 'value' | 'message'>,
  { now, newId }: { now: number; newId: () => string },
): AlertRecord {
  return {
    id: newId(),
    rule,
    service,
    ...level,
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
  };
}

const UNITS: Record<RuleName, { name: string; unit: string; digits: number }> = {
  p95Ms: { name: 'p95 latency', unit: ' ms', digits: 0 },
  availabilityPercent: { name: 'availability', unit: ' %', digits: 2 },
  errorPercent: { name: 'error rate', unit: ' %', digits: 2 },
  users: { name: 'concurrent users', unit: '', digits: 0 },
  cpuPercent: { name: 'CPU', unit: ' %', digits: 0 },
  memoryPercent: { name: 'memory', unit: ' %', digits: 0 },
};

const formatRuleValue = (rule: RuleName, value: number): string =>
  `${value.toFixed(UNITS[rule].digits)}${UNITS[rule].unit}`;

const subject = ({ rule, service }: Pick<RuleReading, 'rule' | 'service'>): string =>
  service ? `${service}: ${UNITS[rule].name}` : UNITS[rule].name;

/** "gs: p95 latency is 612 ms (critical at 500 ms), over 249 requests; worst: gs-1 with 700.3 ms". */
function describeReading(reading: RuleReading, value: number, threshold: number, severity: Severity): string {
  const { rule, detail } = reading;
  const limit = `${severity} ${lowIsBad(rule) ? 'below' : 'at'} ${formatRuleValue(rule, threshold)}`;
  return `${subject(reading)} is ${formatRuleValue(rule, value)} (${limit})${detail ? `, ${detail}` : ''}`;
}
