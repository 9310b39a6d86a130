import { createTransport } from 'nodemailer';
import { bodyText, headline } from '../message.ts';
import { type DeliverAlert, RECEIVER_TIMEOUT_MS } from './receiver.ts';

/** SMTP by nodemailer; `smtpUrl` may carry user and password: smtp://user:pass@host:587, smtps:// for TLS from the start. */
export function emailReceiver(smtpUrl: string, from: string, to: readonly string[]): DeliverAlert {
  const transport = createTransport({
    url: smtpUrl,
    connectionTimeout: RECEIVER_TIMEOUT_MS,
    greetingTimeout: RECEIVER_TIMEOUT_MS,
    socketTimeout: RECEIVER_TIMEOUT_MS,
  });
  return async (message) => {
    await transport.sendMail({
      from,
      to: [...to],
      subject: headline(message).slice(0, 200),
      text: bodyText(message),
      headers: {
        // Replies of machines to machines help nobody (RFC 3834).
        'Auto-Submitted': 'auto-generated',
        'X-Priority': message.severity === 'warning' || message.event === 'resolved' ? '3' : '1',
        // One alert is one thread, from raised to resolved.
        References: `<${message.id}@acgs-lb.${message.site}>`,
      },
    });
  };
}
