import type { Config } from '../../../shared/config/config.ts';
import type { Log } from '../../lib/log.ts';
import type { AlertMessage } from '../message.ts';

/** Delivers one message or throws. Has a timeout; does not retry. */
export type DeliverAlert = (message: AlertMessage) => Promise<void>;

export type ReceiverConfig = Config['alerts']['receivers'][string];

/** What receivers need besides their configuration. */
export interface ReceiverDeps {
  smtpUrl?: string | undefined;
  slackWebhookUrl?: string | undefined;
  /** The values of `${NAME}` in the configuration. */
  variable?: (name: string) => string | undefined;
  log: Log;
  fetch?: typeof globalThis.fetch;
}

export const RECEIVER_TIMEOUT_MS = 10_000;
