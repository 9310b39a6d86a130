import type { ReceiverStatus } from '../dispatcher.ts';
import type { Condition } from './condition.ts';

/** Receivers whose last delivery failed. `configured`: a removed receiver has no condition. */
export function receiverConditions(
  receivers: Readonly<Record<string, ReceiverStatus>>,
  configured: Readonly<Record<string, unknown>>,
): Condition[] {
  return Object.entries(receivers).flatMap(([name, { lastError, pending }]) =>
    lastError === null || !Object.hasOwn(configured, name)
      ? []
      : [
          {
            rule: 'receiverFailing',
            service: '',
            subject: name,
            severity: 'warning',
            value: pending,
            threshold: 0,
            message: `alerts do not reach the receiver ${name}; ${lastError}`,
          },
        ],
  );
}
