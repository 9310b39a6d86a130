import assert from 'node:assert/strict';
import { pino } from 'pino';
import { instanceKey } from '../../../agent/core/state.ts';
import { createEdgeReportReader } from '../../../agent/edge/reports.ts';
import { startRequestSharing } from '../../../agent/edge/share-requests.ts';
import {
  adminSchema,
  parseDrainDeadline,
  registrationSchema,
  weightSchema,
} from '../../../agent/http/api/request-schemas.ts';
import { reportSchema } from '../../../agent/http/api/routes/edge-reports.ts';
import {
  advanceBody,
  completeBody,
  createBody,
  pinBody,
  reasonBody,
  resumeBody,
} from '../../../agent/http/api/routes/session-schemas.ts';
import { describeIssue } from '../../../agent/http/api/zod-errors.ts';
import { createMessageSigner } from '../../../agent/lib/message-signer.ts';
import { checkBody, valueAt } from '../../../agent/probes/expectation.ts';
import { createSignedIntents } from '../../../agent/registry/signed-intents.ts';
import { parseSession, serializeSession } from '../../../agent/sessions/session-cache.ts';
import { kvErrorText } from '../../../agent/snapshot/kv-rest.ts';
import { parseOrder, parseRetryAfter } from '../../../agent/snapshot/publisher.ts';
import { describeRequests } from '../../../agent/tracing/describe-request.ts';
import { edgeSpans } from '../../../agent/tracing/otlp/spans.ts';
import { parseConfig } from '../../../shared/config/load.ts';
import { parseOrigin } from '../../../shared/config/origin.ts';
import type { EdgeTrace } from '../../../shared/edge-trace.ts';
import { emptySketch, mergeSketch } from '../../../shared/sketch.ts';
import { assertFinite, type FuzzTarget, jsonOf, utf8 } from '../target.ts';

const NOW = 1_700_000_000_000;
const KEY = 'k'.repeat(32);

/** Times that can be written as dates, and numbers that stay finite. */
function checkTrace(trace: EdgeTrace): void {
  for (const span of edgeSpans(trace)) {
    assertFinite(span);
    assert(span.endMs >= span.startMs);
    for (const ms of [span.startMs, span.endMs]) new Date(ms).toISOString();
  }
  assertFinite(describeRequests({ edge: [trace], gateway: [] }, 'main'));
}

const edgeReport: FuzzTarget = {
  name: 'edge-report',
  holds: 'edge reports: refused, or evidence with finite numbers about a known service',
  start() {
    const config = parseConfig('version: 1\nsite: { id: main }\nservices: { web: { routes: [/] } }\n');
    return (input) => {
      const parsed = reportSchema.safeParse(jsonOf(input));
      if (!parsed.success) return;
      const { read } = createEdgeReportReader(() => config);
      const { evidence = [], requests = [] } = read(parsed.data, NOW) ?? {};
      assert.equal(read(parsed.data, NOW), null);
      // Many reports are added up.
      const total = emptySketch();
      for (const delta of [...evidence, ...requests, ...requests]) {
        assert.equal(delta.service, 'web');
        assertFinite(delta);
        if (delta.latency) mergeSketch(total, delta.latency);
      }
      assertFinite(total);
      parsed.data.traces.forEach(checkTrace);
    };
  },
};

const API_SCHEMAS = {
  registration: registrationSchema,
  admin: adminSchema,
  weight: weightSchema,
  create: createBody,
  advance: advanceBody,
  complete: completeBody,
  resume: resumeBody,
  reason: reasonBody,
  pin: pinBody,
};

function checkRegistration(body: unknown): void {
  const { success, data } = registrationSchema.safeParse(body);
  if (!success) return;
  assert.match(data.id, /^[\w.-]{1,63}$/);
  assert.equal(parseOrigin(data.url), data.url);
  assert.match(data.url, /^https?:\/\/[^\s/?#@\\]+$/);
  assertFinite(data);
}

function checkAdmin(body: unknown): void {
  const { success, data } = adminSchema.safeParse(body);
  if (!success || data.deadline === undefined) return;
  const deadline = parseDrainDeadline(data.deadline, NOW);
  if (deadline !== null) assert(deadline > NOW && !Number.isNaN(new Date(deadline).getTime()));
}

const apiBody: FuzzTarget = {
  name: 'api-body',
  holds: 'API bodies: refused with a message for people, or values within their bounds',
  start: () => (input) => {
    const body = jsonOf(input);
    if (body === undefined) return;
    for (const schema of Object.values(API_SCHEMAS)) {
      const issues = schema.safeParse(body).error?.issues ?? [];
      for (const issue of issues) assert.notEqual(describeIssue(issue), '');
    }
    checkRegistration(body);
    checkAdmin(body);
  },
};

const redisIntent: FuzzTarget = {
  name: 'redis-intent',
  holds: 'intents in Redis: ignored without a signature; signed ones meet the rules of the API',
  start() {
    const signer = createMessageSigner([KEY], 3_600_000);
    const signed = createSignedIntents(signer, 'main', () => NOW);
    return (input) => {
      const text = utf8(input);
      assert.equal(signed.read({ 'web/web-1': text, [text]: text }).intents.size, 0);
      const field = 'web/web-1';
      const value = `${signer.sign(['intent', 'main', field, text], NOW)} ${text}`;
      assert.equal(signed.read({ 'web/web-2': value }).intents.size, 0);
      for (const [key, intent] of signed.read({ [field]: value }).intents) {
        assertFinite(intent);
        assert.equal(signed.read({ [key]: signed.write(key, intent) }).intents.size, 1);
        const { registration } = intent;
        if (!registration) continue;
        assert.equal(instanceKey(registration.service, registration.id), field);
        assert.equal(parseOrigin(registration.url), registration.url);
      }
    };
  },
};

const redisSession: FuzzTarget = {
  name: 'redis-session',
  holds: 'sessions in Redis: null without a signature; a signed one can be written and read again',
  start() {
    const signing = { signer: createMessageSigner([KEY], 3_600_000), now: NOW };
    return (input) => {
      assert.equal(parseSession(utf8(input), signing), null);
      const fields = jsonOf(input);
      if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return;
      const { signature: _, ...rest } = fields as Record<string, unknown>;
      const signature = signing.signer.sign(['session', JSON.stringify(rest)], NOW);
      const session = parseSession(JSON.stringify({ ...rest, signature }), signing);
      if (!session) return;
      assertFinite(session);
      assert.deepEqual(parseSession(serializeSession(session, signing), signing), session);
    };
  },
};

const redisEvent: FuzzTarget = {
  name: 'redis-event',
  holds: 'shared requests in Redis: ignored without a signature, and no signed text makes the reader throw',
  start() {
    const signer = createMessageSigner([KEY], 3_600_000);
    let deliver: (event: unknown) => void = () => {};
    let received = 0;
    const { close } = startRequestSharing({
      live: {
        publish: async () => {},
        subscribe(handler) {
          deliver = handler;
          return () => {};
        },
      },
      signer,
      site: 'main',
      owner: 'a',
      onRequests(deltas) {
        received++;
        for (const delta of deltas) assertFinite(delta);
      },
      onReport: () => {},
      log: pino({ level: 'silent' }),
    });
    close();
    let seq = 0;
    return (input) => {
      const body = utf8(input);
      received = 0;
      deliver(jsonOf(input));
      deliver({ kind: 'requests', site: 'main', owner: 'b', body, signature: body });
      assert.equal(received, 0);
      const owner = `b${seq++}`;
      const signature = signer.sign(['main', owner, body], Date.now());
      deliver({ kind: 'requests', site: 'main', owner, body, signature });
      deliver({ kind: 'requests', site: 'main', owner, body, signature });
      assert(received <= 1);
    };
  },
};

const httpAnswer: FuzzTarget = {
  name: 'http-answer',
  holds: 'answers of probes, of the Hub and of the KV API: a verdict or a bounded message',
  start: () => (input) => {
    const text = utf8(input);
    const [first = ''] = text.split('\n');
    valueAt(jsonOf(input), first);
    const expect = { status: [], json: { path: 'checks.db.ok', equals: true } };
    const why = checkBody(expect, text);
    assert(why === null || why.length < 300);
    assert(kvErrorText(text).length <= 300);
    const order = parseOrder(jsonOf(input));
    if (order) assert(Number.isSafeInteger(order.epoch + 1) && Number.isSafeInteger(order.seq + 1));
    const wait = parseRetryAfter(text);
    if (wait !== undefined) assert(wait >= 0 && wait <= 300_000);
  },
};

export const AGENT_TARGETS: readonly FuzzTarget[] = [
  edgeReport,
  apiBody,
  redisIntent,
  redisSession,
  redisEvent,
  httpAnswer,
];
