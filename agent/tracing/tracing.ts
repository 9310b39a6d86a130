import type { EdgeTrace } from '../../shared/edge-trace.ts';
import { parseGatewayRecord } from '../haproxy/telemetry/gateway-record.ts';
import type { LogFields } from '../haproxy/telemetry/log-line.ts';
import type { SpanExporter } from './otlp/exporter.ts';
import { edgeSpans, gatewaySpan } from './otlp/spans.ts';
import { createTraceStore, type FoundTrace, type KeptLine } from './trace-store.ts';

/** Traces of requests: held in memory, and exported as spans. */
export interface Tracing {
  /** A line of HAProxy's log. */
  addLine(line: string, fields: LogFields, now: number): void;
  /** Requests that the edge described. */
  addTraces(traces: readonly EdgeTrace[]): void;
  find(id: string): FoundTrace;
  close(timeoutMs: number): Promise<void>;
}

export interface TracingOptions {
  exporter: SpanExporter;
  site: () => string;
  /** Spans that were not exported because the queue is full. */
  onDropped(count: number): void;
}

export function createTracing({ exporter, site, onDropped }: TracingOptions): Tracing {
  const store = createTraceStore();

  function exportLine(line: KeptLine): void {
    line.exported = true;
    const record = parseGatewayRecord(line.text, line.at);
    const span = record && gatewaySpan(record, site());
    if (span) exporter.add([span]);
  }

  return {
    addLine(text, fields, now) {
      const kept = store.addLine(text, fields, now);
      if (kept && exporter.isOn()) {
        if (exporter.hasRoom()) exportLine(kept);
        else onDropped(1);
      }
    },
    addTraces(traces) {
      store.addTraces(traces);
      if (traces.length === 0 || !exporter.isOn()) return;
      const lines = store.linesByTrace();
      for (const trace of traces) {
        exporter.add(edgeSpans(trace));
        // A failed attempt of an edge trace may have had a good line, which was not worth exporting alone.
        const spans = trace.attempts.map(({ spanId }) => spanId);
        for (const line of lines.get(trace.traceId) ?? []) {
          if (!line.exported && spans.some((spanId) => line.text.includes(`|${spanId}}`))) exportLine(line);
        }
      }
    },
    find: store.find,
    close: exporter.close,
  };
}
