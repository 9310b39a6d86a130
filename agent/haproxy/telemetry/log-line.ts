import { isLongLivedBackend, serviceOfBackend } from '../long-lived.ts';

/** One request from HAProxy's log: the instance, the latency and how the request ended. */
export interface LogLine {
  service: string;
  instance: string;
  /** `GET /path HTTP/1.1`, cut off where the line was. */
  request: string;
  status: number;
  /** Time to connect and to receive the response headers, without the queue. Without headers: the whole wait. */
  latencyMs: number;
  /** Until the last byte. */
  totalMs: number;
  end: LogLineEnd;
}

/**
 * `answered`: with headers, or with a failure of the instance. `connect-failed`: HAProxy could not connect to it.
 * `queue-timeout`: the request never left HAProxy's queue. `abandoned`: the client gave up before the headers.
 * `malformed`: HAProxy ended the request because of the rest of its body or its trailers.
 */
export type LogLineEnd = 'answered' | 'connect-failed' | 'queue-timeout' | 'abandoned' | 'malformed';

/** The fields of a log line that HAProxy itself wrote. */
export interface LogFields {
  /** `service/server`; the server is `<NOSRV>` when none was selected. */
  target: string;
  /** The line is from the backend for long-lived connections, so its times say nothing about the instance. */
  longLived: boolean;
  timers: string;
  status: number;
  /** `1` when the edge counts the request. */
  countedByEdge: boolean;
  /** The client's address. */
  client: string;
  /** The service has affinity by cookie, and the request had no session. Null: unknown. */
  isWithoutSession: boolean | null;
  /** The instance may have been waiting for the client's body, so the times say nothing about the instance. */
  isUpload: boolean;
  bytes: number;
  /** The service of the route; empty when the request was rejected before routing. */
  routed: string;
  /** The termination state. */
  flags: string;
  retries: number;
  /** From the queues on. The client controls the part after them. */
  rest: string;
}

const FIELDS = 11;

/**
 * Splits `client [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes marks service flags ac/fc/bc/sc/rc queues
 * "request" …`, our log-format. Null for any other line.
 */
export function splitLogLine(line: string): LogFields | null {
  // No regular expression or full split: this runs for every request, and the client controls the text after the flags.
  const fields: string[] = [];
  let at = 0;
  while (fields.length < FIELDS) {
    const end = line.indexOf(' ', at);
    if (end < 0) return null;
    fields.push(line.slice(at, end));
    at = end + 1;
  }
  const [
    from = '',
    ,
    ,
    backend = '',
    timers = '',
    status = '',
    bytes,
    marks = '',
    routed = '-',
    flags = '',
    counts = '',
  ] = fields;
  const slash = backend.indexOf('/');
  const longLived = isLongLivedBackend(backend.slice(0, Math.max(0, slash)));
  return {
    target: longLived ? serviceOfBackend(backend.slice(0, slash)) + backend.slice(slash) : backend,
    longLived,
    timers,
    status: Number(status),
    client: from.slice(0, Math.max(0, from.lastIndexOf(':'))),
    countedByEdge: marks.startsWith('1'),
    isWithoutSession: marks.length < 2 ? null : marks[1] === '1',
    isUpload: marks[2] === '1',
    bytes: Number(bytes),
    routed: routed === '-' ? '' : routed,
    flags,
    retries: retriesOf(counts),
    rest: line.slice(at),
  };
}

/** The last of the counts; `+` marks a retry on another server. */
function retriesOf(counts: string): number {
  const retries = Number(counts.slice(counts.lastIndexOf('/') + 1));
  return Number.isSafeInteger(retries) ? Math.max(0, retries) : 0;
}

/** What the line says about an instance. Null when no server was selected. */
export function attemptOf({ target, timers, status, flags, rest }: LogFields): LogLine | null {
  const slash = target.indexOf('/');
  const instance = target.slice(slash + 1);
  if (slash < 1 || instance === '' || instance.startsWith('<')) return null;
  const [, , connect = -1, response = -1, total = -1] = timers.split('/').map(Number);
  if (!Number.isFinite(connect + response + total) || total < 0) return null;
  const quote = rest.indexOf('"');
  return {
    service: target.slice(0, slash),
    instance,
    request: quote < 0 ? '' : rest.slice(quote + 1),
    status,
    latencyMs: response < 0 ? total : Math.max(0, connect) + response,
    totalMs: total,
    end: endOf(flags, status, response >= 0),
  };
}

/** From HAProxy's termination state: who ended the request, and in which phase. */
function endOf(flags: string, status: number, hasHeaders: boolean): LogLineEnd {
  if (hasHeaders) return 'answered';
  if (flags.startsWith('SC')) return 'connect-failed';
  if (flags[1] === 'Q') return 'queue-timeout';
  if (flags.startsWith('P') && status === 400) return 'malformed';
  return flags.startsWith('C') || flags.startsWith('c') ? 'abandoned' : 'answered';
}
