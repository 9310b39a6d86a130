import { bodyText, headline } from '../message.ts';
import { type DeliverAlert, RECEIVER_TIMEOUT_MS } from './receiver.ts';

/** Sends mail over SMTP. `smtpUrl` is smtp://user:password@host:587, or smtps:// for TLS from the start. */
export function emailReceiver(smtpUrl: string, from: string, to: readonly string[]): DeliverAlert {
  // Loaded on first use: nodemailer takes over 10 MiB, and most agents send no mail.
  const openTransport = async () => {
    const { createTransport } = await import('nodemailer');
    return createTransport({
      url: smtpUrl,
      connectionTimeout: RECEIVER_TIMEOUT_MS,
      greetingTimeout: RECEIVER_TIMEOUT_MS,
      socketTimeout: RECEIVER_TIMEOUT_MS,
    });
  };
  return async (message) => {
    const transport = await openTransport();
    await transport.sendMail({
      from,
      to: [...to],
      subject: headline(message).slice(0, 200),
      text: bodyText(message),
      headers: {
        // Stops automatic replies (RFC 3834).
        'Auto-Submitted': 'auto-generated',
        'X-Priority': message.severity === 'warning' || message.event === 'resolved' ? '3' : '1',
        // All messages of one alert form one thread.
        References: `<${message.id}@acgs-lb.${message.site}>`,
      },
    });
  };
}
