import type { Config } from '../../../shared/config/config.ts';
import { alertKey, type Condition, type ConditionRule } from './condition.ts';

type RuleSettings = Config['alerts']['rules'];

const SETTINGS: Readonly<Record<ConditionRule, keyof RuleSettings>> = {
  instanceDown: 'instanceDown',
  redundancyLost: 'instanceDown',
  serviceDown: 'instanceDown',
  outlier: 'outlier',
  instanceFull: 'instanceFull',
  sinkFailing: 'sinkFailing',
  edgeSilent: 'edgeSilent',
  snapshotNotTaken: 'snapshotNotTaken',
  configRefused: 'configRefused',
  sourceFailing: 'sourceFailing',
  listRefused: 'listRefused',
  receiverFailing: 'receiverFailing',
  certificateExpiry: 'certificateExpiry',
  spoolDisk: 'spoolDisk',
};

/**
 * Keeps the conditions that are enabled and have held for their `after`. An open alert keeps its condition whatever its
 * age. Remembers when each condition was first found.
 */
export function createDueFilter() {
  let firstFound = new Map<string, number>();
  return (
    conditions: readonly Condition[],
    open: ReadonlySet<string>,
    rules: RuleSettings,
    now: number,
  ): Condition[] => {
    firstFound = new Map(
      conditions.map((one) => {
        const key = alertKey(one);
        const found = firstFound.get(key) ?? now;
        // The clock may be set back.
        return [key, Math.min(found, one.since ?? found, now)];
      }),
    );
    return conditions.filter((one) => {
      const settings = rules[SETTINGS[one.rule]];
      if (!settings.enabled) return false;
      const after = 'after' in settings ? settings.after : 0;
      return open.has(alertKey(one)) || now - (firstFound.get(alertKey(one)) ?? now) >= after;
    });
  };
}
