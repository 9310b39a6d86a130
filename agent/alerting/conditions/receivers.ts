import type { ReceiverStatus } from '../dispatcher.ts';
import { alertKey, type Condition } from './condition.ts';

export interface ReceiverFacts {
  /** The receivers to which this agent has sent a message. */
  receivers: Readonly<Record<string, ReceiverStatus>>;
  /** A removed receiver has no condition. */
  configured: Readonly<Record<string, unknown>>;
  /** Keys of the alerts that are open. */
  open: ReadonlySet<string>;
}

/** Receivers whose last delivery failed. After a restart of the agent, an open alert stays until a delivery succeeds. */
export const receiverConditions = ({ receivers, configured, open }: ReceiverFacts): Condition[] =>
  Object.keys(configured).flatMap((name) => {
    const key = { rule: 'receiverFailing', service: '', subject: name } as const;
    const status = receivers[name];
    const isUntried = !status || (status.lastError === null && status.lastSuccess === null);
    const error = isUntried && open.has(alertKey(key)) ? NOT_TRIED : (status?.lastError ?? null);
    if (error === null) return [];
    const message = `alerts do not reach the receiver ${name}; ${error}`;
    return [{ ...key, severity: 'warning', value: status?.pending ?? 0, threshold: 0, message }];
  });

const NOT_TRIED = 'no delivery since the agent started';
