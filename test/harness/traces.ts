import type { EdgeTrace, EdgeTraceAttempt } from '../../shared/edge-trace.ts';

export const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

export const sampleAttempt = (parts: Partial<EdgeTraceAttempt> = {}): EdgeTraceAttempt => ({
  spanId: 'a'.repeat(16),
  at: 1_000_001,
  ms: 20,
  route: 'gateway',
  origin: 'http://10.0.0.1:8090',
  site: 'main',
  named: null,
  instance: 'gs-1',
  hedge: false,
  result: 'response',
  status: 200,
  unsent: false,
  error: '',
  ...parts,
});

export const sampleTrace = (parts: Partial<EdgeTrace> = {}): EdgeTrace => ({
  requestId: 'r-1',
  traceId: TRACE_ID,
  parentId: null,
  spanId: 'e'.repeat(16),
  sampled: true,
  at: 1_000_000,
  ms: 25,
  method: 'GET',
  scheme: 'https',
  host: 'www.example',
  path: '/api/x',
  client: '203.0.113.9',
  service: 'gs',
  status: 200,
  kind: 'answer',
  limitedBy: [],
  pick: 'picked',
  attempts: [sampleAttempt()],
  ...parts,
});

interface LineParts {
  requestId?: string;
  traceId?: string;
  spanId?: string;
  parentId?: string;
  flags?: string;
  target?: string;
  timers?: string;
  status?: number;
  end?: string;
  retries?: string;
  counted?: string;
}

/** A line of HAProxy's log. */
export function gatewayLine(parts: LineParts = {}): string {
  const { requestId = 'r-1', traceId = TRACE_ID, spanId = 'b'.repeat(16), parentId = 'a'.repeat(16) } = parts;
  const { flags = '00', target = 'gs/gs-1', timers = '0/1/2/17/20', status = 200, end = '----' } = parts;
  const { retries = '0', counted = '1' } = parts;
  return (
    `10.0.0.7:5555 [24/Nov/2026:16:38:02.689] _gateway ${target} ${timers} ${status} 180 ${counted} gs ${end} ` +
    `1/1/0/0/${retries} 0/0 {${requestId}|00-${traceId}-${spanId}-${flags}|${parentId}} "GET /api/x HTTP/1.1"`
  );
}
