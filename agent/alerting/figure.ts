import type { RuleName } from './rules.ts';
import { lowIsBad, type Severity } from './severity.ts';

const UNITS: Record<RuleName, { name: string; unit: string; digits: number }> = {
  p95Ms: { name: 'p95 latency', unit: ' ms', digits: 0 },
  availabilityPercent: { name: 'availability', unit: ' %', digits: 2 },
  errorPercent: { name: 'error rate', unit: ' %', digits: 2 },
  users: { name: 'concurrent users', unit: '', digits: 0 },
  cpuPercent: { name: 'CPU', unit: ' %', digits: 0 },
  memoryPercent: { name: 'memory', unit: ' %', digits: 0 },
};
const MAX_DIGITS = 6;

export const ruleName = (rule: RuleName): string => UNITS[rule].name;

export const formatRuleValue = (rule: RuleName, value: number, digits = UNITS[rule].digits): string =>
  `${value.toFixed(digits)}${UNITS[rule].unit}`;

/**
 * "612 ms (critical at 500 ms)". The number of digits is large enough that the rounded figures compare like the values.
 * A firing value can be better than its threshold, because an alert ends only beyond a margin; the text then shows it
 * as better.
 */
export function limitText(rule: RuleName, value: number, threshold: number, severity: Severity): string {
  const isBad = (a: number, b: number) => (lowIsBad(rule) ? a < b : a >= b);
  const bad = isBad(value, threshold);
  let { digits } = UNITS[rule];
  const rounded = (number: number) => Number(number.toFixed(digits));
  const agrees = () =>
    isBad(rounded(value), rounded(threshold)) === bad &&
    rounded(threshold) === Number(threshold.toFixed(MAX_DIGITS));
  while (digits < MAX_DIGITS && !agrees()) digits += 1;
  const limit = `${lowIsBad(rule) ? 'below' : 'at'} ${formatRuleValue(rule, threshold, digits)}`;
  const what = bad ? `${severity} ${limit}` : `recovering; ${severity} ${limit}`;
  return `${formatRuleValue(rule, value, digits)} (${what})`;
}
