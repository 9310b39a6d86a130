import type { Severity } from '../severity.ts';

/** Rules that watch for a condition. A service has one alert of `instanceDown`, `redundancyLost` and `serviceDown`. */
export const CONDITION_RULES = [
  'instanceDown',
  'redundancyLost',
  'serviceDown',
  'outlier',
  'instanceFull',
  'sinkFailing',
  'edgeSilent',
  'snapshotNotTaken',
  'configRefused',
  'sourceFailing',
  'listRefused',
  'receiverFailing',
  'certificateExpiry',
  'spoolDisk',
] as const;

export type ConditionRule = (typeof CONDITION_RULES)[number];

/** Something that is wrong now. The text describes the present. */
export interface Condition {
  rule: ConditionRule;
  /** '' for the site. */
  service: string;
  /** Distinguishes the conditions of one rule and service. */
  subject: string;
  severity: Severity;
  /** A figure for machines, with the limit that it crossed: 1 serving instance of the 2 that redundancy needs. */
  value: number;
  threshold: number;
  message: string;
  /** Since when, epoch milliseconds, where that is known. */
  since?: number;
}

type ConditionKey = Pick<Condition, 'service' | 'subject'> & { rule: string };

const FAMILY: Readonly<Record<string, string>> = {
  redundancyLost: 'instanceDown',
  serviceDown: 'instanceDown',
};

/** The rule that names the alert whatever its severity. */
export const ruleFamily = (rule: string): string => FAMILY[rule] ?? rule;

/** The same for every severity of one problem: an instance down, redundancy lost and a service down are one alert. */
export const alertKey = ({ rule, service, subject }: ConditionKey): string =>
  `${ruleFamily(rule)} ${service} ${subject}`;

export const isConditionRule = (rule: string): rule is ConditionRule =>
  (CONDITION_RULES as readonly string[]).includes(rule);
