import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { gatewayLine, sampleAttempt, sampleTrace, TRACE_ID } from '../../../test/harness/traces.ts';
import { splitLogLine } from '../../haproxy/telemetry/log-line.ts';
import { createTracing } from '../tracing.ts';
import { createSpanExporter } from './exporter.ts';
import { gatewaySpan } from './spans.ts';

/** Spans as a collector receives them, over HTTP. */

interface OtlpValue {
  stringValue?: string;
  intValue?: number;
}
interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: OtlpValue }[];
  status: { code?: number };
}
interface OtlpRequest {
  resourceSpans: {
    resource: { attributes: { key: string; value: OtlpValue }[] };
    scopeSpans: { spans: OtlpSpan[] }[];
  }[];
}

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

async function startCollector(status = 200) {
  const requests: { headers: NodeJS.Dict<string | string[]>; body: OtlpRequest }[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      requests.push({ headers: request.headers, body: JSON.parse(text) as OtlpRequest });
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => server.close());
  const spans = () =>
    requests.flatMap(({ body }) =>
      body.resourceSpans.flatMap(({ resource, scopeSpans }) =>
        scopeSpans.flatMap((scope) =>
          scope.spans.map((span) => ({
            ...span,
            service: resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue,
            attributes: Object.fromEntries(
              span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? value]),
            ),
          })),
        ),
      ),
    );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, requests, spans };
}

const history = {
  hasRoom: () => false,
  keep: () => undefined,
  find: async () => ({ edge: [], gateway: [] }),
};

function startTracing(url: string) {
  const counts = { exported: 0, dropped: 0 };
  const onDropped = (count: number): void => {
    counts.dropped += count;
  };
  const otlp = { url, headers: { authorization: ['Bearer $', '{COLLECTOR_TOKEN}'].join('') } };
  const exporter = createSpanExporter({
    config: () => ({ telemetry: { trustClients: true, sample: 1, otlp } }),
    variable: (name) => (name === 'COLLECTOR_TOKEN' ? 'tok' : undefined),
    version: '1.2.3',
    log: pino({ level: 'silent' }),
    onExported: (count) => {
      counts.exported += count;
    },
    onDropped,
  });
  const tracing = createTracing({ exporter, history, site: () => 'main', onDropped });
  const addLine = (line: string): void => {
    const fields = splitLogLine(line);
    if (fields) tracing.addLine(line, fields, 1_000_040);
  };
  return { tracing, exporter, addLine, counts };
}

test('request, attempts and gateway are one tree, with the names of the semantic conventions', async () => {
  const collector = await startCollector();
  const { tracing, addLine, counts } = startTracing(collector.url);
  addLine(gatewayLine({ status: 502, end: 'SH--', timers: '0/1/2/-1/20' }));
  addLine(gatewayLine({ parentId: 'c'.repeat(16), spanId: 'd'.repeat(16), target: 'gs/gs-2' }));
  tracing.addTraces(
    [
      sampleTrace({
        parentId: 'f'.repeat(16),
        attempts: [
          sampleAttempt({ status: 502 }),
          sampleAttempt({ spanId: 'c'.repeat(16), at: 1_000_021, ms: 3, instance: 'gs-2' }),
        ],
      }),
    ],
    0,
  );
  await tracing.close(5_000);
  const spans = collector.spans();
  expect(counts).toEqual({ exported: 5, dropped: 0 });
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE_ID]));
  const tree = Object.fromEntries(spans.map((span) => [span.spanId[0], span.parentSpanId?.[0]]));
  expect(tree).toEqual({ e: 'f', a: 'e', c: 'e', b: 'a', d: 'c' });
  const of = (id: string) => spans.find(({ spanId }) => spanId.startsWith(id));
  expect(of('e')).toMatchObject({
    service: 'acgs-lb-edge',
    name: 'GET',
    kind: 2,
    startTimeUnixNano: '1000000000000',
    endTimeUnixNano: '1000025000000',
    attributes: {
      'http.request.method': 'GET',
      'url.scheme': 'https',
      'url.path': '/api/x',
      'server.address': 'www.example',
      'server.port': 443,
      'client.address': '203.0.113.9',
      'http.response.status_code': 200,
    },
  });
  expect(of('a')).toMatchObject({
    kind: 3,
    status: { code: 2 },
    attributes: { 'error.type': '502', 'url.full': 'http://10.0.0.1:8090/api/x', 'server.port': 8090 },
  });
  expect(of('c')).toMatchObject({ attributes: { 'http.request.resend_count': 1, 'acgs.instance': 'gs-2' } });
  expect(of('b')).toMatchObject({
    service: 'acgs-lb-gateway',
    kind: 2,
    status: { code: 2 },
    attributes: { 'acgs.haproxy.queue_ms': 1, 'acgs.haproxy.termination_state': 'SH', 'error.type': '502' },
  });
  expect(collector.requests[0]?.headers.authorization).toBe('Bearer tok');
});

test('a request without the edge is exported when it is sampled, failed or slow', async () => {
  const collector = await startCollector();
  const { tracing, addLine } = startTracing(collector.url);
  const direct = { counted: '-', parentId: '-' };
  addLine(gatewayLine({ ...direct, spanId: '1'.repeat(16) }));
  addLine(gatewayLine({ ...direct, spanId: '2'.repeat(16), flags: '01' }));
  addLine(gatewayLine({ ...direct, spanId: '3'.repeat(16), status: 503 }));
  addLine(gatewayLine({ ...direct, spanId: '4'.repeat(16), timers: '0/900/0/200/1100' }));
  await tracing.close(5_000);
  expect(collector.spans().map(({ spanId, parentSpanId }) => [spanId[0], parentSpanId])).toEqual([
    ['2', undefined],
    ['3', undefined],
    ['4', undefined],
  ]);
});

test('a collector that refuses costs only the spans, which are counted', async () => {
  const collector = await startCollector(400);
  const { tracing, counts } = startTracing(collector.url);
  tracing.addTraces([sampleTrace()], 0);
  await tracing.close(5_000);
  expect(collector.requests).toHaveLength(1);
  expect(counts).toEqual({ exported: 0, dropped: 2 });
});

test('the queue is bounded while the collector does not answer', async () => {
  const { exporter, counts } = startTracing('http://127.0.0.1:1/v1/traces');
  const line = gatewayLine();
  const fields = splitLogLine(line);
  const { parseGatewayRecord } = await import('../../haproxy/telemetry/gateway-record.ts');
  const record = fields && parseGatewayRecord(line, 1_000_040);
  const span = record && gatewaySpan(record, 'main');
  if (!span) throw new Error('no span');
  for (let times = 0; times < 60; times++) exporter.add(Array.from({ length: 100 }, () => span));
  expect(exporter.hasRoom()).toBe(false);
  expect(counts.dropped).toBeGreaterThan(1_000);
  await exporter.close(50);
  expect(counts.exported).toBe(0);
});
