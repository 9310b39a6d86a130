import { resolveSecret } from '../../../shared/config/secret-references.ts';
import { headline } from '../message.ts';
import { alertmanagerReceiver } from './alertmanager.ts';
import { commandReceiver } from './command.ts';
import { discordReceiver } from './discord.ts';
import { emailReceiver } from './email.ts';
import { opsgenieReceiver } from './opsgenie.ts';
import { pagerdutyReceiver } from './pagerduty.ts';
import type { DeliverAlert, ReceiverConfig, ReceiverDeps } from './receiver.ts';
import { slackReceiver } from './slack.ts';
import { teamsReceiver } from './teams.ts';
import { webhookReceiver } from './webhook.ts';

/** Throws with the name of the missing environment variable when the receiver cannot work. */
export function openReceiver(config: ReceiverConfig, deps: ReceiverDeps): DeliverAlert {
  const { smtpUrl, slackWebhookUrl, log, fetch = globalThis.fetch, variable = () => undefined } = deps;
  const resolve = (text: string): string => resolveSecret(text, variable);
  const resolveAll = (fields: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, resolve(value)]));
  switch (config.type) {
    case 'log':
      return async (message) => {
        log[message.event === 'resolved' ? 'info' : 'warn']({ alert: message }, headline(message));
      };
    case 'webhook':
      return webhookReceiver({
        fetch,
        url: resolve(config.url),
        headers: resolveAll(config.headers),
        secret: config.secret && resolve(config.secret),
        template: config.template,
      });
    case 'slack':
      if (!slackWebhookUrl) throw new Error('SLACK_WEBHOOK_URL is not set');
      return slackReceiver(fetch, slackWebhookUrl, config.channel);
    case 'email':
      if (!smtpUrl) throw new Error('SMTP_URL is not set');
      return emailReceiver(smtpUrl, config.from, config.to);
    case 'command':
      return commandReceiver(config.argv, config.timeout);
    case 'pagerduty':
      return pagerdutyReceiver(fetch, config.url, resolve(config.routingKey));
    case 'opsgenie':
      return opsgenieReceiver(fetch, config.url, resolve(config.apiKey));
    case 'alertmanager':
      return alertmanagerReceiver(fetch, resolve(config.url), resolveAll(config.headers));
    case 'teams':
      return teamsReceiver(fetch, resolve(config.url));
    case 'discord':
      return discordReceiver(fetch, resolve(config.url));
  }
}
