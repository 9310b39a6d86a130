import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type EnvelopeFields, parseEnvelope } from '../../shared/envelope.ts';
import { HOST_PATTERN } from '../../shared/request-url.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import {
  edgeKey,
  envelope,
  type HaproxyHarness,
  releaseAfterTests,
  signToken,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** HAProxy reads from the envelope what the edge wrote into it: for the instance, and for the client. */

const key = edgeKey('k1');
const RUNS = Number(process.env.FUZZ_RUNS ?? 300);
const SEED = 13;
let harness: HaproxyHarness;
let bare: HaproxyHarness;
let origin: Origin;

startBeforeTests(async () => {
  origin = await startOrigin('a-1');
  releaseAfterTests(origin.stop);
  const services = `web:
  routes: [/]
  instances: [ { id: a-1, url: "${origin.url}" }, { id: a-2, url: "${origin.url.replace('127.0.0.1', 'localhost')}" } ]`;
  harness = await startHaproxyHarness({ services, keys: [key], sections: 'headers: { forwarded: true }' });
  bare = await startHaproxyHarness({
    services,
    keys: [key],
    sections: 'headers: { security: false, via: false }',
  });
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
}

const connections = new Agent({ keepAlive: true });
releaseAfterTests(async () => connections.destroy());

interface Sent {
  path?: string;
  /** The address that the request comes from. */
  from?: string;
  gateway?: HaproxyHarness;
}

function send(
  headers: Record<string, string | string[]>,
  { path = '/x', from, gateway = harness }: Sent = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const options = { path, headers: { host: 'gateway.example', ...headers }, agent: connections };
    request(gateway.gateway, { ...options, ...(from && { localAddress: from }) }, (response) => {
      response
        .resume()
        .on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
    })
      .on('error', reject)
      .end();
  });
}

const seen = (): IncomingHttpHeaders =>
  origin.requests.filter(({ url }) => url !== '/health').at(-1)?.headers ?? {};

const text = fc.string({
  unit: fc.constantFrom(...Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))),
  minLength: 1,
  maxLength: 200,
});
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const fields: fc.Arbitrary<EnvelopeFields> = fc.record({
  client: fc.oneof(
    fc.ipV4(),
    fc.constantFrom('2001:db8::1', '::1', '2001:db8:0:1:ffff:ffff:ffff:ffff', 'fe80::1'),
  ),
  proto: fc.constantFrom('http', 'https'),
  host: fc.stringMatching(new RegExp(HOST_PATTERN)),
  requestId: fc.stringMatching(/^[A-Za-z0-9._:/+=-]{1,128}$/),
  service: orNull(fc.constantFrom('web', 'removed')),
  target: orNull(fc.constantFrom('a-1', 'a-2', 'a-9')),
  traceparent: orNull(fc.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)),
  rateLimit: orNull(text),
  rateLimitPolicy: orNull(text),
});

test('every field arrives as it was sent, and nothing else', async () => {
  const token = harness.token();
  const forgedTrace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  await fc.assert(
    fc.asyncProperty(fields, async (sent) => {
      const answer = await send({
        ...harness.edgeHeaders(sent, token),
        'x-forwarded-for': '198.51.100.9',
        'x-forwarded-host': 'forged.example',
        'x-forwarded-proto': 'gopher',
        'x-request-id': 'forged',
        traceparent: forgedTrace,
      });
      expect(answer.status).toBe(200);
      const { client, proto, host } = sent;
      const node = client.includes(':') ? `"[${client}]"` : client;
      expect(seen()).toEqual({
        host,
        'x-forwarded-for': `198.51.100.9, ${client}`,
        'x-forwarded-host': host,
        'x-forwarded-proto': proto,
        'x-request-id': sent.requestId,
        // The trace of the edge, or a new one, with a span of the gateway.
        traceparent: expect.stringMatching(
          sent.traceparent ? new RegExp(`^${sent.traceparent.slice(0, 36)}`) : /^00-(?!a{32})/,
        ),
        forwarded: `for=${node};host="${host}";proto=${proto}`,
        via: '1.1 acgs-lb',
      });
      expect(answer.headers).toMatchObject({
        'x-request-id': sent.requestId,
        'x-acgs-instance':
          sent.target === 'a-1' || sent.target === 'a-2' ? sent.target : expect.stringMatching(/^a-[12]$/),
        'x-content-type-options': 'nosniff',
      });
      // Each field of the answer costs the edge 2 % of its throughput, and the client has the request id.
      expect(answer.headers).not.toHaveProperty('traceparent');
      expect(answer.headers.ratelimit ?? null).toBe(sent.rateLimit);
      expect(answer.headers['ratelimit-policy'] ?? null).toBe(sent.rateLimitPolicy);
      expect('strict-transport-security' in answer.headers).toBe(proto === 'https');
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

test('HAProxy accepts exactly what the parser accepts', async () => {
  const token = harness.token();
  const special = fc.constantFrom(
    ';',
    '%',
    '%0d%0a',
    '%7F',
    '%00',
    ',',
    '"',
    ' ',
    '.',
    ':',
    '\t',
    'é',
    '|',
    '[',
  );
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(20),
    insert: fc.oneof(special, fc.constant('')),
  });
  const header = fc
    .tuple(fields, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([sent, changes]) =>
      changes.reduce(
        (value, { at, remove, insert }) => {
          // The token stays valid. Blanks at the ends are not part of a header field's value.
          const start = token.length + Math.floor(at * (value.length - token.length));
          return (value.slice(0, start) + insert + value.slice(start + remove)).trim();
        },
        envelope(token, sent),
      ),
    )
    // Node and HAProxy see the same bytes.
    .map((value) => Buffer.from(value).toString('latin1'));
  await fc.assert(
    // From another address for each part of the run, because HAProxy limits invalid tokens.
    fc.asyncProperty(header, fc.nat(250), async (value, last) => {
      const { status, headers } = await send({ 'x-acgs-edge': value }, { from: `127.0.1.${last + 1}` });
      expect([value, status]).toEqual([value, parseEnvelope(value) ? 200 : 401]);
      if (status === 401) expect(headers['x-acgs-unsent']).toBe('1');
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

test('two envelopes are refused', async () => {
  const one = envelope(harness.token());
  const twice = await send({ 'x-acgs-edge': [one, one] });
  expect(twice.status).toBe(401);
});

test('the fields for the answer are also on responses that HAProxy itself makes', async () => {
  const sent = { rateLimit: '"a";r=1;t=2', rateLimitPolicy: '"a";q=3;w=4' };
  const { status, headers } = await send(harness.edgeHeaders({ ...sent, client: '203.0.113.1' }), {
    path: '/admin',
  });
  expect(status).toBe(403);
  expect(headers).toMatchObject({
    ratelimit: sent.rateLimit,
    'ratelimit-policy': sent.rateLimitPolicy,
    'x-request-id': 'request-1',
  });
});

test('fields that are off in the configuration are not added; without an edge the gateway is the first proxy', async () => {
  const { headers } = await send(bare.edgeHeaders({ proto: 'https' }), { gateway: bare });
  for (const name of ['via', 'forwarded']) expect(seen()[name], name).toBeUndefined();
  for (const name of [
    'x-content-type-options',
    'x-frame-options',
    'referrer-policy',
    'strict-transport-security',
  ]) {
    expect(headers[name], name).toBeUndefined();
  }
  await send({ forwarded: 'for=198.51.100.1', 'x-forwarded-host': 'forged.example' }, { gateway: bare });
  expect(seen()).toMatchObject({
    host: 'gateway.example',
    'x-forwarded-host': 'gateway.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '127.0.0.1',
  });
  expect(seen().forwarded).toBeUndefined();
});

test('after many invalid tokens from an address, its signatures are not verified; verified tokens still work', async () => {
  const from = '127.0.2.1';
  const known = harness.token();
  expect((await send(harness.edgeHeaders({}, known), { from })).status).toBe(200);
  // Valid but for the key, so that only the signature is wrong.
  const stranger = edgeKey('k1');
  for (let count = 0; count < 110; count++) {
    expect((await send(harness.edgeHeaders({}, signToken({ count }, stranger)), { from })).status).toBe(401);
  }
  const fresh = harness.token({ jti: 'fresh' });
  expect((await send(harness.edgeHeaders({}, fresh), { from })).status).toBe(401);
  expect((await send(harness.edgeHeaders({}, known), { from })).status).toBe(200);
  expect((await send(harness.edgeHeaders({}, fresh), { from: '127.0.2.2' })).status).toBe(200);
});

test('a token that is too long for the table of verified tokens is refused', async () => {
  const [short, long] = [100, 400].map((length) => harness.token({ pad: 'x'.repeat(length) }));
  expect(long?.length).toBeGreaterThan(512);
  expect((await send(harness.edgeHeaders({}, short))).status).toBe(200);
  expect((await send(harness.edgeHeaders({}, long))).status).toBe(401);
});

test('an edge of version 0.1, with header fields of its own, is understood', async () => {
  const answer = await send({
    'x-acgs-edge': harness.token(),
    'x-acgs-client': '203.0.113.7',
    'x-acgs-service': 'web',
    'x-acgs-instance': 'a-2',
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-host': 'www.example',
    'x-forwarded-proto': 'https',
    'x-request-id': 'r1',
  });
  expect(answer.headers['x-acgs-instance']).toBe('a-2');
  expect(seen()).toMatchObject({
    host: 'www.example',
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-host': 'www.example',
    'x-forwarded-proto': 'https',
    'x-request-id': 'r1',
  });
});
