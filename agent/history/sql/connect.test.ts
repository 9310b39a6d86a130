import { expect, test } from 'vitest';
import { connectToFirst } from './connect.ts';
import { parsePostgresUrl } from './postgres-url.ts';

const refusal = (code: string, message: string) => Object.assign(new Error(message), { code });
const noTls = refusal('', 'The server does not support SSL connections');
const onlyTls = refusal('28000', 'no pg_hba.conf entry for host "h", no encryption');
const wrongPassword = refusal('28P01', 'password authentication failed for user "u"');

/** Connects with `mode`, beginning at attempt `start`; attempts with and without TLS fail with the given errors. */
const connectWith = (mode: string, start: number, tls: Error, plain: Error) =>
  connectToFirst(
    parsePostgresUrl(`postgres://u:p@h/d?sslmode=${mode}`, undefined),
    async (_index, { ssl }) => {
      throw ssl ? tls : plain;
    },
    start,
  );

test('of two failed attempts at one server, the error of the one that got further is reported', async () => {
  for (const start of [0, 1]) {
    await expect(connectWith('prefer', start, noTls, wrongPassword)).rejects.toBe(wrongPassword);
    await expect(connectWith('allow', start, wrongPassword, onlyTls)).rejects.toBe(wrongPassword);
  }
});
