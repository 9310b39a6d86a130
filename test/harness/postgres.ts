import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../agent/history/sql/embedded.ts';
import {
  type LocalPostgres,
  type LocalPostgresOptions,
  startPostgres as startServer,
} from '../../dev/servers/postgres.ts';

/** Waits a minute for a connection instead of three seconds, because a busy machine is slow. */
const withLongConnectTimeout = (url: string): string =>
  `${url}${url.includes('?') ? '&' : '?'}connect_timeout=60`;

/** Starts a Postgres whose URLs have a long connect timeout. */
export async function startPostgres(options?: LocalPostgresOptions): Promise<LocalPostgres> {
  const server = await startServer(options);
  return {
    ...server,
    url: withLongConnectTimeout(server.url),
    adminUrl: withLongConnectTimeout(server.adminUrl),
  };
}

/** Starts the embedded database in `dir` with a long connect timeout. */
export async function startEmbedded(dir: string): Promise<EmbeddedPostgres> {
  const { url, stop } = await startEmbeddedPostgres(dir);
  return { url: withLongConnectTimeout(url), stop };
}
