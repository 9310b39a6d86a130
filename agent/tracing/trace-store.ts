import { type EdgeTrace, SLOW_REQUEST_MS } from '../../shared/edge-trace.ts';
import { type GatewayRecord, parseGatewayRecord } from '../haproxy/telemetry/gateway-record.ts';
import type { LogFields } from '../haproxy/telemetry/log-line.ts';
import { Ring } from './ring.ts';

/** What the edge and HAProxy reported about the requests with one request id or trace id. */
export interface FoundTrace {
  edge: EdgeTrace[];
  gateway: GatewayRecord[];
}

/** Requests in memory, searchable by request id or trace id. */
export interface TraceStore {
  /** A line of HAProxy's log. Returns it when it is kept for longer: sampled, failed or slow. */
  addLine(line: string, fields: LogFields, now: number): KeptLine | null;
  addTraces(traces: readonly EdgeTrace[]): void;
  find(id: string): FoundTrace;
  /** Lines of HAProxy's log by trace. */
  linesByTrace(): Map<string, KeptLine[]>;
}

export interface KeptLine {
  /** Empty for a request that HAProxy refused before it had a trace. */
  readonly traceId: string;
  readonly text: string;
  readonly at: number;
  /** Failed or slow. */
  readonly isProblem: boolean;
  /** Its span was exported. */
  exported: boolean;
}

/** About 500 bytes each: 5 MB together. */
const MAX_RECENT_LINES = 5_000;
const MAX_LINES = 2_500;
const MAX_TRACES = 1_000;
/** One trace may have any number of requests. */
const MAX_FOUND = 100;
const TRACE_DIGITS = 32;
/** Before the trace id in `{id|00-…`. */
const TRACE_START = '|00-';

export function createTraceStore(): TraceStore {
  const recent = new Ring<KeptLine>(MAX_RECENT_LINES);
  const failedLines = new Ring<KeptLine>(MAX_LINES);
  const otherLines = new Ring<KeptLine>(MAX_LINES);
  const failedTraces = new Ring<EdgeTrace>(MAX_TRACES);
  const otherTraces = new Ring<EdgeTrace>(MAX_TRACES);
  const lines = (): KeptLine[] => [...recent, ...failedLines, ...otherLines];

  return {
    addLine(text, fields, now) {
      const start = traceStart(fields.rest);
      const traceId = start < 0 ? '' : fields.rest.slice(start, start + TRACE_DIGITS);
      const failed = isFailed(fields);
      const isProblem = failed || isSlow(fields);
      const line = { traceId, text, at: now, isProblem, exported: false };
      if (failed) failedLines.push(line);
      else if (isProblem || (traceId !== '' && isSampledLine(fields.rest, start))) otherLines.push(line);
      else {
        recent.push(line);
        return null;
      }
      return line;
    },
    addTraces(traces) {
      for (const trace of traces) (isFailedTrace(trace) ? failedTraces : otherTraces).push(trace);
    },
    find(id) {
      const edge = [...failedTraces, ...otherTraces].filter(
        ({ requestId, traceId }) => requestId === id || traceId === id,
      );
      const gateway = lines()
        .filter(({ traceId, text }) => traceId === id || text.includes(`{${id}|`))
        .flatMap(({ text, at }) => parseGatewayRecord(text, at) ?? []);
      return {
        edge: edge.sort((a, b) => a.at - b.at).slice(-MAX_FOUND),
        gateway: gateway.sort((a, b) => a.at - b.at).slice(-MAX_FOUND),
      };
    },
    linesByTrace: () => Map.groupBy(lines(), ({ traceId }) => traceId),
  };
}

/** Index of the trace id; -1 for a request without one. The client controls the text after the closing brace. */
function traceStart(rest: string): number {
  const at = rest.indexOf(TRACE_START);
  return at < 0 || at > rest.indexOf('}') ? -1 : at + TRACE_START.length;
}

export const isFailedTrace = ({ kind, status, attempts }: EdgeTrace): boolean =>
  status >= 500 || attempts.length > 1 || kind === 'unavailable' || kind === 'stale';

/** A 5xx answer, no answer, or an incomplete one. A request that HAProxy refused with 4xx is not a failure. */
const isFailed = ({ status, flags }: LogFields): boolean =>
  status >= 500 || status < 100 || (flags[1] === 'D' && /^[Ss]/.test(flags));

function isSlow({ timers }: LogFields): boolean {
  // Nearly all requests end here: splitting the timers of every line costs more than the rest.
  if (Number(timers.slice(timers.lastIndexOf('/') + 1)) < SLOW_REQUEST_MS) return false;
  const [, queue = 0, connect = 0, response = 0] = timers.split('/').map(Number);
  return queue + connect + response >= SLOW_REQUEST_MS;
}

/** Bit 0 of the flags, the last digits of `<trace>-<span>-<flags>`. */
const isSampledLine = (rest: string, start: number): boolean =>
  (Number.parseInt(rest.charAt(start + 51), 16) & 1) === 1;
