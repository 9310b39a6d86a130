import { type Attributes, type HrTime, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { SpanData } from './spans.ts';

/** Loaded only when spans are exported: OpenTelemetry's libraries take several megabytes of memory. */

export interface SpanSender {
  /** Rejects when the collector did not accept the spans, after the retries of the library. */
  send(spans: readonly SpanData[]): Promise<void>;
  close(): Promise<void>;
}

/** ExportResultCode.SUCCESS of @opentelemetry/core. */
const EXPORT_SUCCESS = 0;

export interface SpanSenderOptions {
  url: string;
  headers: Record<string, string>;
  version: string;
  timeoutMs: number;
}

export function createSpanSender({ url, headers, version, timeoutMs }: SpanSenderOptions): SpanSender {
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs, concurrencyLimit: 1 });
  const resources = new Map<string, Resource>();
  const resourceOf = (service: string): Resource => {
    const known = resources.get(service);
    if (known) return known;
    const resource = resourceFromAttributes({
      'service.name': service,
      'service.namespace': 'acgs-lb',
      'service.version': version,
    });
    resources.set(service, resource);
    return resource;
  };
  const scope = { name: 'acgs-lb', version };
  return {
    send: (spans) =>
      new Promise((resolve, reject) => {
        const readable = spans.map((span) => toReadableSpan(span, resourceOf(span.service), scope));
        exporter.export(readable, ({ code, error }) => {
          if (code === EXPORT_SUCCESS) resolve();
          else reject(error ?? new Error('the collector did not accept the spans'));
        });
      }),
    close: () => exporter.shutdown(),
  };
}

function toReadableSpan(
  span: SpanData,
  resource: Resource,
  instrumentationScope: ReadableSpan['instrumentationScope'],
): ReadableSpan {
  const { traceId, spanId, parentId, startMs, endMs, failed } = span;
  const attributes: Attributes = span.attributes;
  return {
    name: span.name,
    kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
    ...(parentId !== null && {
      parentSpanContext: { traceId, spanId: parentId, traceFlags: 1, isRemote: span.kind === 'server' },
    }),
    startTime: toHrTime(startMs),
    endTime: toHrTime(endMs),
    duration: toHrTime(endMs - startMs),
    status: { code: failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes,
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const toHrTime = (ms: number): HrTime => [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)];
