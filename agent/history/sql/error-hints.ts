import { tlsErrorHint } from '../../lib/store-tls.ts';
import { StoreUrlError } from '../../lib/store-url.ts';
import { NoServerAvailableError, ReadOnlyServerError } from './connect.ts';

const START_POSTGRES = 'start Postgres, or correct the address in DATABASE_URL';

/** Hints by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const HINTS_BY_CODE: Readonly<Record<string, string>> = {
  '25006':
    'name the primary in DATABASE_URL, or all hosts (host-1,host-2): acgs-lb finds the one that accepts writes',
  '28P01': 'correct the user or password in DATABASE_URL; `acgs-lb migrate --init` creates the role',
  '28000': 'correct the user or password in DATABASE_URL; `acgs-lb migrate --init` creates the role',
  '3D000': 'create the database with `acgs-lb migrate --init`',
  '42501': 'the role needs privileges on schema public: `acgs-lb migrate --init` grants them',
  '53100': 'free disk space on the Postgres host',
  '53300': 'Postgres has no free connection: raise max_connections, or lower postgres.pool.max',
  '57P03': 'Postgres is starting or stopping: wait, or check its log',
};

const HINTS_BY_MESSAGE: readonly [RegExp, string][] = [
  [
    /must be owner of/,
    'the role does not own the tables: name the role that created them in DATABASE_URL (in psql, \\d lists the owners)',
  ],
  [
    /no encryption|SSL off/i,
    'the server requires TLS: add sslmode=require, or better verify-full, to DATABASE_URL',
  ],
  [
    /connection requires a valid client certificate|certificate authentication failed/,
    'the server requires a client certificate: set sslcert= and sslkey= in DATABASE_URL',
  ],
  [
    /does not support SSL/,
    'the server does not support TLS: enable it there (ssl = on), or add sslmode=disable to DATABASE_URL',
  ],
];

/** What to do about an error of Postgres. */
export function postgresErrorHint(error: unknown): string {
  if (error instanceof NoServerAvailableError) return hintForSeveral(error.reasons);
  if (error instanceof StoreUrlError) return 'correct DATABASE_URL; docs/operations.md lists its forms';
  const { code = '', message = '' } = error as Error & { code?: string };
  if (error instanceof ReadOnlyServerError) return HINTS_BY_CODE['25006'] ?? START_POSTGRES;
  return (
    HINTS_BY_MESSAGE.find(([pattern]) => pattern.test(message))?.[1] ??
    tlsErrorHint(error, 'DATABASE_URL', 'sslrootcert', 'sslcert= and sslkey=') ??
    HINTS_BY_CODE[code] ??
    generalHint(code, message)
  );
}

/** The hint for the most specific of the errors of several servers. */
function hintForSeveral(reasons: readonly Error[]): string {
  const readOnly = (reason: Error) => reason instanceof ReadOnlyServerError;
  const specific = reasons.find((reason) => !readOnly(reason) && !isUnreachable(reason));
  if (specific) return postgresErrorHint(specific);
  return reasons.some(readOnly)
    ? 'promote the standby (pg_ctl promote), or restart the primary'
    : START_POSTGRES;
}

function generalHint(code: string, message: string): string {
  if (/time(d )?out|not answer/i.test(message)) {
    return 'the host accepts connections but does not answer: check the Postgres host';
  }
  // Any SQLSTATE except class 08 (connection exception): Postgres is running and refused the statement.
  if (/^(?!08)[0-9A-Z]{5}$/.test(code)) return 'Postgres refused the statement; its log shows why';
  return START_POSTGRES;
}

const isUnreachable = (error: Error & { code?: string }): boolean =>
  /^E(CONNREFUSED|HOSTUNREACH|NETUNREACH|TIMEDOUT|NOTFOUND|AI_AGAIN)/.test(error.code ?? '') ||
  /timeout/.test(error.message);
