import { headline } from '../message.ts';
import { command } from './command.ts';
import { email } from './email.ts';
import { slack, webhook } from './http.ts';
import type { Deliver, ReceiverConfig, ReceiverDeps } from './receiver.ts';

/** Throws, saying which variable is missing, when the receiver cannot work at all. */
export function openReceiver(config: ReceiverConfig, deps: ReceiverDeps): Deliver {
  const { smtpUrl, slackWebhookUrl, log, fetch = globalThis.fetch } = deps;
  switch (config.type) {
    case 'log':
      return async (message) => {
        log[message.event === 'resolved' ? 'info' : 'warn']({ alert: message }, headline(message));
      };
    case 'webhook':
      return webhook(fetch, config.url, config.headers);
    case 'slack':
      if (!slackWebhookUrl) throw new Error('SLACK_WEBHOOK_URL is not set');
      return slack(fetch, slackWebhookUrl, config.channel);
    case 'email':
      if (!smtpUrl) throw new Error('SMTP_URL is not set');
      return email(smtpUrl, config.from, config.to);
    case 'command':
      return command(config.argv, config.timeout);
  }
}
