/** One request from HAProxy's log: the instance, the latency and how the request ended. */
export interface LogLine {
  service: string;
  instance: string;
  /** Time to connect and to receive the response headers, without the queue. Without headers: the whole wait. */
  latencyMs: number;
  /** HAProxy could not connect to the instance. */
  connectFailed: boolean;
}

/**
 * Parses `client [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes - - flags …`, the start of our log-format.
 * Null when the line says nothing about an instance: no server was selected, or the client aborted before a response.
 */
export function parseLogLine(line: string): LogLine | null {
  // No regular expression or full split: this runs for every request, and the client controls the text after the flags.
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
  if (!Number.isFinite(connect + response + total)) return null;
  const connectFailed = flags.startsWith('SC');
  const clientAborted = flags.startsWith('C') && response < 0;
  if (clientAborted || total < 0) return null;
  const latencyMs = response < 0 ? total : Math.max(0, connect) + response;
  return { service: target.slice(0, slash), instance, latencyMs, connectFailed };
}
