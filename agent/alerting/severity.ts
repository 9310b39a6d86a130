import type { SEVERITIES } from '../../shared/config/monitor.ts';
import type { RuleName } from './rules.ts';

export type Severity = (typeof SEVERITIES)[number];

export const WORST_FIRST: readonly Severity[] = ['emergency', 'critical', 'warning'];

/** Higher is worse; 0: no severity. */
export const rank = (severity: Severity | null): number =>
  severity ? WORST_FIRST.length - WORST_FIRST.indexOf(severity) : 0;

/** Availability is bad when low; every other value is bad when high. */
export const lowIsBad = (rule: RuleName): boolean => rule === 'availabilityPercent';
