import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../agent/history/sql/embedded.ts';
import {
  type LocalPostgres,
  type LocalPostgresOptions,
  startPostgres as startServer,
} from '../../dev/servers/postgres.ts';

/** Waits a minute for the server instead of the agent's three seconds: a busy machine is slow and that is no failure. */
export const withLongConnectTimeout = (url: string): string =>
  `${url}${url.includes('?') ? '&' : '?'}connect_timeout=60`;

/** A Postgres that tests connect to with patience. */
export async function startPostgres(options?: LocalPostgresOptions): Promise<LocalPostgres> {
  const server = await startServer(options);
  return {
    ...server,
    url: withLongConnectTimeout(server.url),
    adminUrl: withLongConnectTimeout(server.adminUrl),
  };
}

/** The embedded database in `dir`, likewise. */
export async function startEmbedded(dir: string): Promise<EmbeddedPostgres> {
  const { url, stop } = await startEmbeddedPostgres(dir);
  return { url: withLongConnectTimeout(url), stop };
}
