import { type EdgeTrace, SLOW_REQUEST_MS } from '../../shared/edge-trace.ts';
import { parseGatewayRecord } from '../haproxy/telemetry/gateway-record.ts';
import type { LogFields } from '../haproxy/telemetry/log-line.ts';
import type { SpanExporter } from './otlp/exporter.ts';
import { edgeSpans, gatewaySpan } from './otlp/spans.ts';
import type { TraceHistory } from './trace-history.ts';
import { createTraceStore, type FoundTrace, isFailedTrace, type KeptLine } from './trace-store.ts';

/** Traces of requests: kept in memory, exported as spans, and written to history when the request failed or was slow. */
export interface Tracing {
  /** A line of HAProxy's log. */
  addLine(line: string, fields: LogFields, now: number): void;
  /** Requests that the edge described. */
  addTraces(traces: readonly EdgeTrace[], now: number): void;
  /** From memory, else from history. Rejects when history does not answer. */
  find(id: string): Promise<FoundTrace>;
  close(timeoutMs: number): Promise<void>;
}

export interface TracingOptions {
  exporter: SpanExporter;
  history: TraceHistory;
  site: () => string;
  /** Spans that were not exported because the queue is full. */
  onDropped(count: number): void;
}

export function createTracing({ exporter, history, site, onDropped }: TracingOptions): Tracing {
  const store = createTraceStore();

  function exportLine(line: KeptLine): void {
    line.exported = true;
    const record = recordOf(line);
    const span = record && gatewaySpan(record, site());
    if (span) exporter.add([span]);
  }

  /** Exports the lines of all attempts, including those that were not exported on their own. */
  function exportTrace(trace: EdgeTrace, lines: readonly KeptLine[]): void {
    exporter.add(edgeSpans(trace));
    for (const line of lines) if (!line.exported) exportLine(line);
  }

  function keepProblem(trace: EdgeTrace, lines: readonly KeptLine[], now: number): void {
    if (!isFailedTrace(trace) && trace.ms < SLOW_REQUEST_MS) return;
    history.keep({ edge: [trace], gateway: lines.flatMap((line) => recordOf(line) ?? []) }, now);
  }

  return {
    addLine(text, fields, now) {
      const kept = store.addLine(text, fields, now);
      if (!kept) return;
      // The edge describes its own requests.
      if (kept.isProblem && !fields.countedByEdge && history.hasRoom(now)) {
        const record = recordOf(kept);
        if (record) history.keep({ edge: [], gateway: [record] }, now);
      }
      if (!exporter.isOn()) return;
      if (exporter.hasRoom()) exportLine(kept);
      else onDropped(1);
    },
    addTraces(traces, now) {
      store.addTraces(traces);
      if (traces.length === 0) return;
      const byTrace = store.linesByTrace();
      for (const trace of traces) {
        const lines = (byTrace.get(trace.traceId) ?? []).filter((line) => isOfAttempt(line, trace));
        keepProblem(trace, lines, now);
        if (exporter.isOn()) exportTrace(trace, lines);
      }
    },
    async find(id) {
      const held = store.find(id);
      return held.edge.length > 0 || held.gateway.length > 0 ? held : history.find(id);
    },
    close: exporter.close,
  };
}

const recordOf = ({ text, at }: KeptLine) => parseGatewayRecord(text, at);

const isOfAttempt = ({ text }: KeptLine, { attempts }: EdgeTrace): boolean =>
  attempts.some(({ spanId }) => text.includes(`|${spanId}}`));
