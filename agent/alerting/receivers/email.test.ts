import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/eventually.ts';
import type { AlertMessage } from '../message.ts';
import { emailReceiver } from './email.ts';

const message: AlertMessage = {
  event: 'raised',
  site: 'main',
  at: '2027-01-01T00:00:00.000Z',
  id: 'a1',
  rule: 'availabilityPercent',
  service: 'gs',
  severity: 'critical',
  state: 'firing',
  value: 98,
  threshold: 99,
  notified: 1,
  message: 'gs-1: said\r\nBcc: all@example.org\r\n\r\nspent — 3 €\n.\nQUIT',
  startedAt: '2027-01-01T00:00:00.000Z',
  resolvedAt: null,
  subject: '',
  url: null,
  runbook: 'docs/incident.md#alert-slow',
};

let server: SMTPServer | undefined;
afterEach(() => new Promise<void>((resolve) => (server ? server.close(resolve) : resolve())));

async function listen(options: SMTPServerOptions): Promise<string> {
  const listening = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    // Avoids a DNS query for each client.
    disableReverseLookup: true,
    ...options,
  });
  listening.on('error', () => {});
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return `smtp://lb:hush@127.0.0.1:${(listening.server.address() as AddressInfo).port}`;
}

test('text of an instance cannot add a header, a recipient or the end of the mail', async () => {
  let mail = '';
  let to: string[] = [];
  const url = await listen({
    onAuth: ({ username }, _session, done) => done(null, { user: username }),
    onData(stream, session, done) {
      mail = '';
      to = session.envelope.rcptTo.map(({ address }) => address);
      stream.setEncoding('utf8').on('data', (part: string) => {
        mail += part;
      });
      stream.on('end', () => done());
    },
  });
  await eventually(() => emailReceiver(url, 'lb@example.org', ['ops@example.org'])(message));
  expect(to).toEqual(['ops@example.org']);
  const [head = '', ...body] = mail.split('\r\n\r\n');
  expect(head).not.toMatch(/^bcc:/im);
  expect(head.match(/^subject:/gim)).toHaveLength(1);
  // Quoted-printable may break a line.
  expect(body.join('\r\n\r\n').replace(/=\r\n/g, '')).toContain('acknowledge with: acgs-lb alerts ack a1');
});

test('an error of the mail server does not reveal the password', async () => {
  const url = await listen({ onAuth: (_auth, _session, done) => done(new Error('no')) });
  let errors = '';
  await eventually(async () => {
    errors += await emailReceiver(url, 'lb@example.org', ['ops@example.org'])(message).catch(String);
    expect(errors).toMatch(/Invalid login/);
  });
  expect(errors).not.toContain('hush');
});
