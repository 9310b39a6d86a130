/** One request, from HAProxy's log: which instance answered, after how long, and how it ended. */
export interface LogLine {
  service: string;
  instance: string;
  /** Connecting and waiting for the response headers, without the queue; where none came, until it was given up. */
  latencyMs: number;
  /** No connection could be made. */
  unconnected: boolean;
}

/**
 * Reads `client [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes - - flags …`, the beginning of our
 * log-format. Null for what tells nothing of an instance: no server was chosen, or the client left before an answer.
 */
export function parseLogLine(line: string): LogLine | null {
  // Cut by hand: this runs for every request, and what follows the flags is the client's to choose.
  const fields: string[] = [];
  for (let at = 0; fields.length < 10; ) {
    const end = line.indexOf(' ', at);
    if (end < 0) return null;
    fields.push(line.slice(at, end));
    at = end + 1;
  }
  const [, , , target = '', timers = '', , , , , flags = ''] = fields;
  const slash = target.indexOf('/');
  const instance = target.slice(slash + 1);
  if (slash < 1 || instance === '' || instance.startsWith('<')) return null;
  const [, , connect = -1, response = -1, total = -1] = timers.split('/').map(Number);
  const unconnected = flags.startsWith('SC');
  const left = flags.startsWith('C') && response < 0;
  if (left || !(total >= 0)) return null;
  const latencyMs = response < 0 ? total : Math.max(0, connect) + response;
  return { service: target.slice(0, slash), instance, latencyMs, unconnected };
}
