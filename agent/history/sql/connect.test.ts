import { expect, test } from 'vitest';
import { connectToFirst } from './connect.ts';
import { parsePostgresUrl } from './postgres-url.ts';

const refusal = (code: string, message: string) => Object.assign(new Error(message), { code });
const noTls = refusal('', 'The server does not support SSL connections');
const onlyTls = refusal('28000', 'no pg_hba.conf entry for host "h", no encryption');
const wrongPassword = refusal('28P01', 'password authentication failed for user "u"');

/** What is told when the ways of `mode`, from `start` on, say what is given: TLS, and without. */
const told = (mode: string, start: number, tls: Error, plain: Error) =>
  connectToFirst(
    parsePostgresUrl(`postgres://u:p@h/d?sslmode=${mode}`, undefined),
    async (_index, { ssl }) => {
      throw ssl ? tls : plain;
    },
    start,
  );

test('of two ways to one server the one that got farther is told, whichever worked before', async () => {
  for (const start of [0, 1]) {
    await expect(told('prefer', start, noTls, wrongPassword)).rejects.toBe(wrongPassword);
    await expect(told('allow', start, wrongPassword, onlyTls)).rejects.toBe(wrongPassword);
  }
});
