import { headline } from '../message.ts';
import { commandReceiver } from './command.ts';
import { emailReceiver } from './email.ts';
import { slackReceiver, webhookReceiver } from './http.ts';
import type { DeliverAlert, ReceiverConfig, ReceiverDeps } from './receiver.ts';

/** Throws with the name of the missing environment variable when the receiver cannot work. */
export function openReceiver(config: ReceiverConfig, deps: ReceiverDeps): DeliverAlert {
  const { smtpUrl, slackWebhookUrl, log, fetch = globalThis.fetch } = deps;
  switch (config.type) {
    case 'log':
      return async (message) => {
        log[message.event === 'resolved' ? 'info' : 'warn']({ alert: message }, headline(message));
      };
    case 'webhook':
      return webhookReceiver(fetch, config.url, config.headers);
    case 'slack':
      if (!slackWebhookUrl) throw new Error('SLACK_WEBHOOK_URL is not set');
      return slackReceiver(fetch, slackWebhookUrl, config.channel);
    case 'email':
      if (!smtpUrl) throw new Error('SMTP_URL is not set');
      return emailReceiver(smtpUrl, config.from, config.to);
    case 'command':
      return commandReceiver(config.argv, config.timeout);
  }
}
