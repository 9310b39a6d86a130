import type { Config } from '../../shared/config/config.ts';
import type { SEVERITIES } from '../../shared/config/monitor.ts';
import type { RuleName, RuleReading } from './rules.ts';

export type Severity = (typeof SEVERITIES)[number];

/** Something that is wrong, from when it was noticed until it is well again. Instants are epoch milliseconds. */
export interface AlertRecord {
  id: string;
  rule: RuleName;
  /** '' for the site and its host. */
  service: string;
  severity: Severity;
  state: 'firing' | 'resolved';
  value: number;
  /** Of its severity. */
  threshold: number;
  message: string;
  startedAt: number;
  changedAt: number;
  resolvedAt: number | null;
  acknowledgedAt: number | null;
  acknowledgedBy: string | null;
  /** How often it was told since it last changed. */
  notified: number;
  lastNotifiedAt: number | null;
  /** The severities at which it was told: those who heard of it as one hear of its end. */
  notifiedSeverities: readonly Severity[];
  /** Evaluations in a row at which it was better than it is said to be. */
  recoveryCount: number;
}

/** What a message is about. */
export type AlertEvent = 'raised' | 'escalated' | 'eased' | 'repeated' | 'resolved' | 'test';

type SeverityThresholds = Config['monitor']['thresholds'][RuleName];

/** Better by a tenth of the threshold, twice in a row, before an alert eases or resolves: it must not flutter. */
const RECOVERY_MARGIN = 0.1;
const RECOVERY_EVALUATIONS = 2;

const WORST_FIRST: readonly Severity[] = ['emergency', 'critical', 'warning'];

const falls = (rule: RuleName): boolean => rule === 'availabilityPercent';

/** The worst severity whose threshold the value reaches; null when it reaches none. */
export function severityOf(
  rule: RuleName,
  value: number,
  ladder: SeverityThresholds,
  margin = 0,
): Severity | null {
  const reaches = (threshold: number): boolean =>
    falls(rule)
      ? value < threshold + margin * (100 - threshold)
      : value >= threshold - margin * Math.abs(threshold);
  return WORST_FIRST.find((severity) => reaches(ladder[severity])) ?? null;
}

const rank = (severity: Severity | null): number => (severity ? 3 - WORST_FIRST.indexOf(severity) : 0);

/** When a change is said to be: an older one than what is written down would not count, whatever became of the clock. */
export const nextChangedAt = (before: Pick<AlertRecord, 'changedAt'>, now: number): number =>
  Math.max(now, before.changedAt);

/** One evaluation. `event` is what people must be told, if anything; `alert` null: all is well and was well. */
export function stepAlert(
  before: AlertRecord | null,
  reading: RuleReading,
  ladder: SeverityThresholds,
  context: { now: number; newId: () => string },
): { alert: AlertRecord | null; event: AlertEvent | null } {
  const { now, newId } = context;
  const { rule, service, value } = reading;
  // Too little to judge by: what was said stands.
  if (value === null) return { alert: before, event: null };
  const severity = severityOf(rule, value, ladder);
  const told = (worse: Severity) => ({ severity: worse, threshold: ladder[worse] });
  const describe = (of: Severity) => describeReading(reading, value, ladder[of], of);

  if (!before) {
    if (!severity) return { alert: null, event: null };
    const alert: AlertRecord = {
      ...{ id: newId(), rule, service, ...told(severity), state: 'firing', value },
      ...{ message: describe(severity), startedAt: now, changedAt: now, resolvedAt: null },
      ...{ acknowledgedAt: null, acknowledgedBy: null, notified: 0, lastNotifiedAt: null },
      ...{ notifiedSeverities: [], recoveryCount: 0 },
    };
    return { alert, event: 'raised' };
  }
  const changed = { changedAt: nextChangedAt(before, now), notified: 0, calm: 0, value };
  // Worse than an operator has seen: the acknowledgement was for less.
  if (severity && rank(severity) > rank(before.severity)) {
    const unseen = { acknowledgedAt: null, acknowledgedBy: null };
    return {
      alert: { ...before, ...changed, ...told(severity), ...unseen, message: describe(severity) },
      event: 'escalated',
    };
  }
  const held = severityOf(rule, value, ladder, RECOVERY_MARGIN);
  if (rank(held) >= rank(before.severity)) {
    return { alert: { ...before, value, recoveryCount: 0, message: describe(before.severity) }, event: null };
  }
  if (before.recoveryCount + 1 < RECOVERY_EVALUATIONS) {
    return { alert: { ...before, value, recoveryCount: before.recoveryCount + 1 }, event: null };
  }
  if (held) {
    return { alert: { ...before, ...changed, ...told(held), message: describe(held) }, event: 'eased' };
  }
  const message = `${subject(reading)} is well again: ${formatRuleValue(rule, value)}`;
  return {
    alert: { ...before, ...changed, state: 'resolved', resolvedAt: now, message },
    event: 'resolved',
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

export const formatRuleValue = (rule: RuleName, value: number): string =>
  `${value.toFixed(UNITS[rule].digits)}${UNITS[rule].unit}`;

const subject = ({ rule, service }: Pick<RuleReading, 'rule' | 'service'>): string =>
  service ? `${service}: ${UNITS[rule].name}` : UNITS[rule].name;

function describeReading(reading: RuleReading, value: number, threshold: number, severity: Severity): string {
  const { rule, detail } = reading;
  const side = falls(rule) ? 'below' : 'at or above';
  const limit = `${severity} is ${side} ${formatRuleValue(rule, threshold)}`;
  return `${subject(reading)} is ${formatRuleValue(rule, value)} (${limit})${detail ? `, ${detail}` : ''}`;
}
