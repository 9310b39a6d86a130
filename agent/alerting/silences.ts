import type { AlertRecord } from './alert.ts';

/** Alerts that match are noted but not told until it ends. '' matches all. */
export interface Silence {
  id: string;
  rule: string;
  service: string;
  /** Epoch milliseconds. */
  until: number;
  reason: string;
  createdBy: string;
}

export const silenceMatches = (silence: Silence, alert: Pick<AlertRecord, 'rule' | 'service'>): boolean =>
  (silence.rule === '' || silence.rule === alert.rule) &&
  (silence.service === '' || silence.service === alert.service);

export const isSilenced = (
  silences: Iterable<Silence>,
  alert: Pick<AlertRecord, 'rule' | 'service'>,
  now: number,
): boolean => {
  for (const silence of silences) if (silence.until > now && silenceMatches(silence, alert)) return true;
  return false;
};
