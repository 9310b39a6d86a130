import type { AlertRecord } from './alert.ts';

/** Holds back the notifications of matching alerts until it ends. An empty `rule` or `service` matches all. */
export interface Silence {
  id: string;
  rule: string;
  service: string;
  /** Epoch milliseconds. */
  until: number;
  reason: string;
  createdBy: string;
}

type AlertTarget = Pick<AlertRecord, 'rule' | 'service'>;

const silenceMatches = (silence: Silence, alert: AlertTarget): boolean =>
  (silence.rule === '' || silence.rule === alert.rule) &&
  (silence.service === '' || silence.service === alert.service);

export function isSilenced(silences: Iterable<Silence>, alert: AlertTarget, now: number): boolean {
  for (const silence of silences) if (silence.until > now && silenceMatches(silence, alert)) return true;
  return false;
}
