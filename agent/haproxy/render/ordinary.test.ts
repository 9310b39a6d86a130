import { expect, test } from 'vitest';
import { STRICTNESS_CASES } from '../../../test/harness/strictness-cases.ts';
import { ordinaryPatterns } from './ordinary.ts';

/** JavaScript has no possessive quantifiers, which only save time here. */
const compile = (pattern: string): RegExp => new RegExp(pattern.replaceAll(/([*+])\+/g, '$1'));
const patterns = ordinaryPatterns(16_384);
const target = compile(patterns.target);
const fields = compile(patterns.fields);
const answer = compile(patterns.answer);

const BROWSER =
  'user-agent: Mozilla/5.0 (X11)\r\naccept: text/html,*/*;q=0.8\r\ncookie: a=b; c="d"\r\nconnection: keep-alive\r\n';

test.each(['/', '/a/b.css', '/a/', '/a?b=/../%2e&c=d;e', '/a~b/c@d:e'])(
  '%s is an ordinary target',
  (text) => {
    expect(target.test(text)).toBe(true);
  },
);

test.each([
  '',
  '*',
  'a',
  '//a',
  '/a//b',
  '/.',
  '/a/..',
  '/a/../b',
  '/.well-known/x',
  '/a%2fb',
  '/a;b',
  '/a\\b',
  '/a|b',
  '/\x01',
  '/\xe9',
  '/a?b c',
  '/__acgs/edge-reports',
])('%s is not an ordinary target', (text) => {
  expect(target.test(text)).toBe(false);
});

test.each([
  '',
  BROWSER,
  'content-length: 12\r\n',
  'x-acgs-edge: a.b.c\r\n',
  'x-forwarded-for: 192.0.2.1\r\n',
  'x-name: \xc3\x89\tz\r\n',
])('ordinary fields: %j', (text) => {
  for (const all of [`host: a.example:80\r\n${text}\r\n`, `${text}host: [::1]\r\n\r\n`])
    expect(fields.test(all)).toBe(true);
});

test.each([
  'host: b.example\r\n',
  'connection: close, x\r\n',
  'connection: upgrade\r\n',
  'upgrade: websocket\r\n',
  'te: trailers\r\n',
  'transfer-encoding: chunked\r\n',
  'content-length: 1234567890123456789\r\n',
  'content-length: 2, 2\r\n',
  'accept: a, TEXT/Event-Stream\r\n',
  'x_a: b\r\n',
  'x-a: \x01\r\n',
  'x-a: b\rc\r\n',
  'x-acgs-client: 192.0.2.1\r\n',
  'x-acgs-edge-x: a\r\n',
  'x-request-id: a\r\n',
  'traceparent: a\r\n',
  'tracestate: a\r\n',
  'forwarded: for=a\r\n',
  'x-forwarded-host: a\r\n',
  'x-forwarded-port: 1\r\n',
  'x-original-url: /\r\n',
  'x-real-ip: 192.0.2.1\r\n',
  'proxy: a\r\n',
])('not ordinary fields: %j', (text) => {
  expect(fields.test(`host: a\r\n${BROWSER}${text}\r\n`)).toBe(false);
  expect(fields.test(`${text}${BROWSER}host: a\r\n\r\n`)).toBe(false);
});

test.each(['', 'host: \r\n', 'host: a/b\r\n', 'host: x:\r\n'])('without a valid host: %j', (text) => {
  expect(fields.test(`${text}\r\n`)).toBe(false);
});

/** What HAProxy shows of a request: a target and fields with names in lower case. */
function parsed(bytes: string) {
  const [head = ''] = bytes.split('\r\n\r\n');
  const [line = '', ...rest] = head.split('\r\n');
  const lower = rest.map((text) => text.replace(/^[^:]*/, (name) => name.toLowerCase()));
  return { target: line.split(' ')[1] ?? '', fields: lower.map((text) => `${text}\r\n`).join('') };
}

test('what is longer than the limit is not ordinary', () => {
  const long = 'a'.repeat(16_384);
  expect(target.test(`/${long}`)).toBe(false);
  expect(fields.test(`host: a\r\nx-long: ${long}\r\n\r\n`)).toBe(false);
  expect(fields.test(`x-long: ${long}\r\nhost: a\r\n\r\n`)).toBe(false);
});

test('no request that the gateway refuses or cleans is ordinary', () => {
  // HAProxy's parser refuses these; methods have a rule of their own.
  const elsewhere = /`TRACE`|lower case|Length|^a chunk|bare LF/;
  const handled = STRICTNESS_CASES.filter(({ gateway, neverSent }) => gateway !== 200 || neverSent);
  for (const one of handled.filter(({ name }) => !elsewhere.test(name))) {
    const request = parsed(one.send);
    expect(target.test(request.target) && fields.test(`${request.fields}\r\n`), one.name).toBe(false);
  }
});

test.each([
  '',
  'content-type: text/plain\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n',
  'connection: keep-alive\r\nkeep-alive: timeout=5\r\n',
])('an ordinary answer: %j', (text) => expect(answer.test(`${text}\r\n`)).toBe(true));

test.each([
  'connection: x-a\r\n',
  'upgrade: h2c\r\n',
  'trailer: a\r\n',
  'x-acgs-instance: a\r\n',
  'x-request-id: a\r\n',
  'traceparent: a\r\n',
  'x-frame-options: DENY\r\n',
  'x-content-type-options: nosniff\r\n',
  'referrer-policy: no-referrer\r\n',
  'x-a: \x7f\r\n',
  `x-long: ${'a'.repeat(16_384)}\r\n`,
])('not an ordinary answer: %j', (text) => {
  expect(answer.test(`a: b\r\n${text}\r\n`)).toBe(false);
});
