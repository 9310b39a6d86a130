import { type Logger, pino } from 'pino';

export type Log = Logger;

/** Keys whose values may be secret, up to three levels deep. */
const REDACTED = [
  'password',
  'token',
  'authorization',
  'apiToken',
  'signingKey',
  'redisUrl',
  'databaseUrl',
  'smtpUrl',
];

export function createLog(level: string): Log {
  return pino({
    level,
    base: { name: 'acgs-lb-agent' },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: REDACTED.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[secret]' },
  });
}
