/** HAProxy's message when it could not open a connection because of a limit of its own process or host. */
const LINE = /^Proxy \S+ reached (process FD limit|system FD limit|system memory limit) /;

/** HAProxy writes the message for each failed connection, so after this time without one the shortage is over. */
export const SHORTAGE_MS = 3_000;

/** The limit that HAProxy reached; null for any other line. */
export const shortageOf = (line: string): string | null => LINE.exec(line)?.[1] ?? null;

export const shortageProblem = (limit: string): string =>
  `HAProxy reached its ${limit} and cannot connect to instances: raise the limit, or lower haproxy.maxconn`;
