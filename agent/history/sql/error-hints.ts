import { tlsErrorHint } from '../../lib/store-tls.ts';
import { StoreUrlError } from '../../lib/store-url.ts';
import { NoServerAvailableError, ReadOnlyServerError } from './connect.ts';

/** What to do about an error of Postgres. */
export function postgresErrorHint(error: unknown): string {
  // Of several servers: the one that says more than "nobody there" or "a standby".
  if (error instanceof NoServerAvailableError) {
    const telling = error.reasons.find(
      (reason) => !(reason instanceof ReadOnlyServerError) && !isAway(reason),
    );
    if (telling) return postgresErrorHint(telling);
    const readOnly = error.reasons.some((reason) => reason instanceof ReadOnlyServerError);
    return readOnly
      ? 'promote the standby (pg_ctl promote), or bring the primary back'
      : 'start Postgres, or set DATABASE_URL to where it listens';
  }
  if (error instanceof StoreUrlError) return 'put DATABASE_URL right; docs/operations.md shows its forms';
  const { code = '', message = '' } = error as Error & { code?: string };
  if (error instanceof ReadOnlyServerError || code === '25006') {
    return 'name the primary in DATABASE_URL, or all hosts, host-1,host-2: the one that takes writes is found';
  }
  if (code === '28000' && /no encryption|SSL off/i.test(message)) {
    return 'this server wants TLS: add sslmode=require, or better verify-full, to DATABASE_URL';
  }
  if (/connection requires a valid client certificate|certificate authentication failed/.test(message)) {
    return 'this server wants a client certificate: sslcert= and sslkey= in DATABASE_URL';
  }
  const tls = tlsErrorHint(error, 'DATABASE_URL', 'sslrootcert', 'sslcert= and sslkey=');
  if (tls) return tls;
  switch (code) {
    case '28P01':
    case '28000':
      return 'the user or password in DATABASE_URL is not the right one; `acgs-lb migrate --init` makes the role';
    case '3D000':
      return '`acgs-lb migrate --init` makes the database';
    case '42501':
      return 'the role needs rights on schema public: `acgs-lb migrate --init` grants them';
    case '53100':
      return 'free some space on the disk of the Postgres host';
    case '53300':
      return 'Postgres has no connection left: raise max_connections, or lower postgres.pool.max';
    case '57P03':
      return 'Postgres is starting or stopping: wait, or look at its log';
  }
  if (/does not support SSL/.test(message)) {
    return 'this server has no TLS: switch it on there (ssl = on), or say sslmode=disable in DATABASE_URL';
  }
  if (/time(d )?out|no answer/i.test(message)) {
    return 'something listens there and does not answer: look at the Postgres host';
  }
  // SQLSTATE, but of class 08: it is there, and refused a statement.
  if (/^(?!08)[0-9A-Z]{5}$/.test(code)) return 'Postgres refused this statement; its log tells which';
  return 'start Postgres, or set DATABASE_URL to where it listens';
}

const isAway = (error: Error & { code?: string }): boolean =>
  /^E(CONNREFUSED|HOSTUNREACH|NETUNREACH|TIMEDOUT|NOTFOUND|AI_AGAIN)/.test(error.code ?? '') ||
  /timeout/.test(error.message);
