import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type EnvelopeFields,
  encodeEnvelope,
  envelopeIndex,
  MAX_ENVELOPE_BYTES,
  parseEnvelope,
} from './envelope.ts';
import { HOST_PATTERN } from './request-url.ts';

const TOKEN = 'e30.e30.c2ln';

const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6().filter((text) => !text.includes('%')),
);
const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);
/** Printable ASCII, as RFC 9651 allows in field values. */
const text = fc.string({ unit: fc.constantFrom(...printable()), minLength: 1, maxLength: 300 });

function printable(): string[] {
  return Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
}

const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });

const fields: fc.Arbitrary<EnvelopeFields> = fc.record({
  client: address,
  proto: fc.constantFrom('http', 'https'),
  host: fc.stringMatching(new RegExp(HOST_PATTERN)),
  requestId: fc.stringMatching(/^[A-Za-z0-9._:/+=-]{1,128}$/),
  service: orNull(id),
  target: orNull(id),
  traceparent: orNull(fc.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)),
  rateLimit: orNull(text),
  rateLimitPolicy: orNull(text),
});

test('a gateway reads the values that the edge encodes', () => {
  fc.assert(
    fc.property(fields, (sent) => {
      expect(parseEnvelope(encodeEnvelope(TOKEN, sent))).toEqual({ token: TOKEN, fields: sent });
    }),
  );
});

test('a value can neither end its field or line nor make the gateway refuse the envelope', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 3_000 }),
    fc.constantFrom('a;b', 'a\r\nx-injected: 1', '%0d%0aX: 1', '\0', 'é', '\u{d800}', 'x'.repeat(5_000)),
  );
  const names = ['service', 'target', 'traceparent', 'rateLimit', 'rateLimitPolicy'] as const;
  fc.assert(
    fc.property(fields, fc.constantFrom(...names), anything, (valid, name, value) => {
      const encoded = encodeEnvelope('t'.repeat(200), { ...valid, [name]: value });
      expect(encoded).toMatch(/^[ -~]+$/);
      expect(encoded.length).toBeLessThanOrEqual(MAX_ENVELOPE_BYTES);
      const read = parseEnvelope(encodeEnvelope(TOKEN, { ...valid, [name]: value }))?.fields;
      expect({ ...read, [name]: null }).toEqual({ ...valid, [name]: null });
      expect(value.startsWith(read?.[name] ?? '') || read?.[name] === value.replace(/[^ -~]/g, '')).toBe(
        true,
      );
    }),
  );
});

test('a token alone is the edge’s own request; fields of a later version are ignored', () => {
  expect(parseEnvelope(TOKEN)).toEqual({ token: TOKEN, fields: null });
  const [sent] = fc.sample(fields, { numRuns: 1, seed: 1 });
  if (!sent) throw new Error('a sample has one');
  expect(parseEnvelope(`${encodeEnvelope(TOKEN, sent)};later;fields`)?.fields).toEqual(sent);
  expect(parseEnvelope(`${TOKEN};192.0.2.1;http`)).toBeNull();
  expect(parseEnvelope(`${TOKEN};192.0.2.1;ftp;h;r;;;;;`)).toBeNull();
  expect(parseEnvelope(`${TOKEN};192.0.2.1;http;h;r;;;;%0d%0a;`)).toBeNull();
});

test('the order of the fields never changes: gateways of other versions read by position', () => {
  const order = [
    'client',
    'proto',
    'host',
    'requestId',
    'service',
    'target',
    'traceparent',
    'rateLimit',
    'rateLimitPolicy',
  ] as const;
  expect(order.map(envelopeIndex)).toEqual(order.map((_, index) => index + 1));
});
