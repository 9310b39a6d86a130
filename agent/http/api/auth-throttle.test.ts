import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import { bearerAuth } from './auth.ts';
import { createAuthThrottle } from './auth-throttle.ts';
import { ProblemError, problemResponse } from './problem.ts';

const T = 1_000_000;

test('ten different wrong tokens within a minute close the door until the minute is over, to that address alone', () => {
  const guesses = createAuthThrottle();
  const closes = Array.from({ length: 12 }, (_, n) =>
    guesses.recordFailure('192.0.2.1', `guess-${n}`, T + n * 1000),
  );
  expect(closes.indexOf(true)).toBe(9);
  expect(closes.filter(Boolean)).toHaveLength(1);
  expect(guesses.retryAfterSeconds('192.0.2.1', T + 11_500)).toBe(49);
  expect(guesses.retryAfterSeconds('192.0.2.2', T + 11_500)).toBe(0);
  expect(guesses.retryAfterSeconds('192.0.2.1', T + 60_000)).toBe(0);
});

test('wrong tokens spread over more than a minute, or one token again and again, are let be', () => {
  const guesses = createAuthThrottle();
  for (let n = 0; n < 30; n++) guesses.recordFailure('192.0.2.1', `guess-${n}`, T + n * 7_000);
  expect(guesses.retryAfterSeconds('192.0.2.1', T + 30 * 7_000)).toBe(0);
  for (let n = 0; n < 100; n++) guesses.recordFailure('192.0.2.3', 'of yesterday', T);
  expect(guesses.retryAfterSeconds('192.0.2.3', T)).toBe(0);
});

test('a /64 counts as one address, IPv4 written as IPv6 as IPv4, and a clock set back opens', () => {
  const guesses = createAuthThrottle();
  for (let n = 0; n < 10; n++) guesses.recordFailure(`2001:db8:1:2::${n}`, `guess-${n}`, T);
  expect(guesses.retryAfterSeconds('2001:db8:1:2:ffff::1', T)).toBe(60);
  expect(guesses.retryAfterSeconds('2001:db8:1:3::1', T)).toBe(0);
  for (let n = 0; n < 10; n++) guesses.recordFailure('::ffff:192.0.2.1', `guess-${n}`, T);
  expect(guesses.retryAfterSeconds('192.0.2.1', T)).toBe(60);
  expect(guesses.retryAfterSeconds('192.0.2.1', T - 1)).toBe(0);
});

test('of more than 1024 addresses the oldest is forgotten', () => {
  const guesses = createAuthThrottle();
  for (let n = 0; n < 10; n++) guesses.recordFailure('192.0.2.1', `guess-${n}`, T);
  for (let n = 0; n < 1_023; n++) guesses.recordFailure(`10.0.${n >> 8}.${n & 255}`, 'guess', T);
  expect(guesses.retryAfterSeconds('192.0.2.1', T)).toBe(60);
  guesses.recordFailure('10.1.0.0', 'guess', T);
  expect(guesses.retryAfterSeconds('192.0.2.1', T)).toBe(0);
});

test('held off, even the right token is 429 with Retry-After; told once; afterwards it is taken', async () => {
  let now = T;
  const told: string[] = [];
  const app = new OpenAPIHono();
  app.onError((error, context) => {
    if (error instanceof ProblemError) return problemResponse(context, error);
    throw error;
  });
  const options = {
    token: 'right',
    bind: '127.0.0.1:9400',
    now: () => now,
    onThrottled: told.push.bind(told),
  };
  app.use('/v1/*', bearerAuth({ ...options, addressOf: ({ req }) => req.header('test-address') ?? '' }));
  app.all('/v1/x', (context) => context.text('done'));
  const ask = (token: string | null, address = '192.0.2.1', method = 'PUT') =>
    app.request('/v1/x', {
      method,
      headers: { 'test-address': address, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    });

  for (let n = 0; n < 10; n++) expect((await ask(`guess-${n}`)).status).toBe(401);
  now += 20_000;
  const held = await ask('right');
  expect(held.status).toBe(429);
  expect(held.headers.get('retry-after')).toBe('40');
  expect(await held.json()).toMatchObject({ status: 429, detail: expect.stringContaining('40 s') });
  expect((await ask('guess')).status).toBe(429);
  expect(told).toEqual(['192.0.2.1']);
  // Who guesses nothing, reads, or is elsewhere, is not held off.
  expect((await ask(null)).status).toBe(401);
  expect((await ask('right', '192.0.2.1', 'GET')).status).toBe(200);
  expect((await ask('right', '192.0.2.2')).status).toBe(200);
  now += 40_000;
  expect((await ask('right')).status).toBe(200);
  // A neighbour at the same address guesses: who gave the right token lately is heard, the guesses are not.
  for (let n = 0; n < 10; n++) await ask(`other-${n}`);
  expect((await ask('other')).status).toBe(429);
  expect((await ask('right')).status).toBe(200);
  now += 30_000;
  expect((await ask('right')).status).toBe(200);
});

test('an address counts as known for ten minutes, and of more than 1024 the oldest is forgotten', () => {
  const guesses = createAuthThrottle();
  guesses.recordSuccess('192.0.2.1', T);
  expect(guesses.hasRecentSuccess('192.0.2.1', T + 599_999)).toBe(true);
  expect(guesses.hasRecentSuccess('192.0.2.1', T + 600_000)).toBe(false);
  for (let n = 0; n < 1_024; n++) guesses.recordSuccess(`10.0.${n >> 8}.${n & 255}`, T);
  expect(guesses.hasRecentSuccess('192.0.2.1', T)).toBe(false);
  expect(guesses.hasRecentSuccess('10.0.0.0', T)).toBe(true);
});
