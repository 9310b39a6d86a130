import assert from 'node:assert/strict';
import { formatAgentReply } from '../../../agent/haproxy/socket/agent-check-server.ts';
import {
  parseFingerprint,
  parseInfo,
  parseServersState,
  parseStat,
} from '../../../agent/haproxy/socket/parse.ts';
import { parseGatewayRecord } from '../../../agent/haproxy/telemetry/gateway-record.ts';
import { attemptOf, splitLogLine } from '../../../agent/haproxy/telemetry/log-line.ts';
import { createRequestCounter } from '../../../agent/haproxy/telemetry/request-counter.ts';
import { describeRequests } from '../../../agent/tracing/describe-request.ts';
import { gatewaySpan } from '../../../agent/tracing/otlp/spans.ts';
import { createTraceStore } from '../../../agent/tracing/trace-store.ts';
import { assertFinite, type FuzzTarget, utf8 } from '../target.ts';

const NOW = 1_700_000_000_000;

const log: FuzzTarget = {
  name: 'haproxy-log',
  holds: "HAProxy's log: null, or an instance and a finite latency",
  start() {
    const requests = createRequestCounter(() => true);
    let read = 0;
    return (input) => {
      const fields = splitLogLine(input);
      if (!fields) return;
      requests.count(fields);
      read++;
      if (read % 100 === 0)
        for (const delta of requests.take(NOW))
          assertFinite({ statuses: delta.statuses, retries: delta.retries, latency: delta.latency });
      const line = attemptOf(fields);
      if (!line) return;
      assert(line.service !== '' && line.instance !== '');
      assert(Number.isFinite(line.latencyMs) && line.latencyMs >= 0);
    };
  },
};

const record: FuzzTarget = {
  name: 'haproxy-record',
  holds: 'a line of the log as a trace: no line, or a story and a span with finite times',
  start: () => (input) => {
    const fields = splitLogLine(input);
    const found = parseGatewayRecord(input, NOW);
    if (!fields || !found) return;
    assertFinite(found);
    const store = createTraceStore();
    store.addLine(input, fields, NOW);
    const id = found.requestId || (found.traceId ?? '');
    for (const request of describeRequests(store.find(id), 'main')) {
      assertFinite(request);
      for (const { text } of request.steps) assert.equal(typeof text, 'string');
    }
    const span = gatewaySpan(found, 'main');
    if (!span) return;
    assert.match(span.traceId, /^[0-9a-f]{32}$/);
    assert.match(span.spanId, /^[0-9a-f]{16}$/);
    assert(span.endMs >= span.startMs);
  },
};

const stat: FuzzTarget = {
  name: 'haproxy-stat',
  holds: "HAProxy's statistics: counters are finite and never negative",
  start: () => (input) => {
    for (const server of parseStat(input)) {
      const { service, instance, status, check, agentUp, ...counters } = server;
      for (const text of [service, instance, status, check]) assert.equal(typeof text, 'string');
      assertFinite(counters);
      assert(Math.min(counters.attempts, counters.responses.ok, counters.responses.failed) >= 0);
    }
  },
};

const state: FuzzTarget = {
  name: 'haproxy-state',
  holds: "HAProxy's server state and info: never throw",
  start: () => (input) => {
    for (const server of parseServersState(input)) {
      assert(server.instance !== '');
      assert(['ready', 'drain', 'maint'].includes(server.admin));
      assertFinite(server.port);
    }
    assertFinite(parseInfo(input));
    parseFingerprint(input);
  },
};

const agentCheck: FuzzTarget = {
  name: 'agent-check',
  holds: 'agent-check: the answer is empty or one line that HAProxy reads as the verdict',
  start: () => (input) => {
    for (const reason of [input, utf8(input)]) {
      assert.match(formatAgentReply({ verdict: 'down', reason }), /^down #[\x20-\x7e]{0,100}\n$/);
      assert.equal(formatAgentReply({ verdict: 'up', reason }), 'up\n');
    }
  },
};

export const GATEWAY_TARGETS: readonly FuzzTarget[] = [log, record, stat, state, agentCheck];
