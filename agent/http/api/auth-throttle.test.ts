import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import { createAuthThrottle } from '../../core/auth-throttle.ts';
import { bearerAuth } from './auth.ts';
import { ProblemError, problemResponse } from './problem.ts';

const T = 1_000_000;

test('ten different wrong tokens within a minute block that address until the minute is over', () => {
  const throttle = createAuthThrottle();
  const blocks = Array.from({ length: 12 }, (_, n) =>
    throttle.recordFailure('192.0.2.1', `guess-${n}`, T + n * 1000),
  );
  expect(blocks.indexOf(true)).toBe(9);
  expect(blocks.filter(Boolean)).toHaveLength(1);
  expect(throttle.retryAfterSeconds('192.0.2.1', T + 11_500)).toBe(49);
  expect(throttle.retryAfterSeconds('192.0.2.2', T + 11_500)).toBe(0);
  expect(throttle.retryAfterSeconds('192.0.2.1', T + 60_000)).toBe(0);
});

test('wrong tokens spread over more than a minute, or one token repeated, do not block', () => {
  const throttle = createAuthThrottle();
  for (let n = 0; n < 30; n++) throttle.recordFailure('192.0.2.1', `guess-${n}`, T + n * 7_000);
  expect(throttle.retryAfterSeconds('192.0.2.1', T + 30 * 7_000)).toBe(0);
  for (let n = 0; n < 100; n++) throttle.recordFailure('192.0.2.3', 'outdated', T);
  expect(throttle.retryAfterSeconds('192.0.2.3', T)).toBe(0);
});

test('a /64 counts as one address, mapped IPv4 as IPv4, and a clock set back ends the block', () => {
  const throttle = createAuthThrottle();
  for (let n = 0; n < 10; n++) throttle.recordFailure(`2001:db8:1:2::${n}`, `guess-${n}`, T);
  expect(throttle.retryAfterSeconds('2001:db8:1:2:ffff::1', T)).toBe(60);
  expect(throttle.retryAfterSeconds('2001:db8:1:3::1', T)).toBe(0);
  for (let n = 0; n < 10; n++) throttle.recordFailure('::ffff:192.0.2.1', `guess-${n}`, T);
  expect(throttle.retryAfterSeconds('192.0.2.1', T)).toBe(60);
  expect(throttle.retryAfterSeconds('192.0.2.1', T - 1)).toBe(0);
});

test('the table of failures keeps the latest 1024 addresses', () => {
  const throttle = createAuthThrottle();
  for (let n = 0; n < 10; n++) throttle.recordFailure('192.0.2.1', `guess-${n}`, T);
  for (let n = 0; n < 1_023; n++) throttle.recordFailure(`10.0.${n >> 8}.${n & 255}`, 'guess', T);
  expect(throttle.retryAfterSeconds('192.0.2.1', T)).toBe(60);
  throttle.recordFailure('10.1.0.0', 'guess', T);
  expect(throttle.retryAfterSeconds('192.0.2.1', T)).toBe(0);
});

test('a success counts as recent for ten minutes; the table keeps the latest 1024 addresses', () => {
  const throttle = createAuthThrottle();
  throttle.recordSuccess('192.0.2.1', T);
  expect(throttle.hasRecentSuccess('192.0.2.1', T + 599_999)).toBe(true);
  expect(throttle.hasRecentSuccess('192.0.2.1', T + 600_000)).toBe(false);
  for (let n = 0; n < 1_024; n++) throttle.recordSuccess(`10.0.${n >> 8}.${n & 255}`, T);
  expect(throttle.hasRecentSuccess('192.0.2.1', T)).toBe(false);
  expect(throttle.hasRecentSuccess('10.0.0.0', T)).toBe(true);
});

test('a blocked address gets 429 with Retry-After even for the right token, until the block ends', async () => {
  let now = T;
  const throttled: string[] = [];
  const app = new OpenAPIHono();
  app.onError((error, context) => {
    if (error instanceof ProblemError) return problemResponse(context, error);
    throw error;
  });
  app.use(
    '/v1/*',
    bearerAuth({
      tokens: [{ name: 'admin', scope: { kind: 'admin' }, secret: 'right' }],
      bind: '127.0.0.1:9400',
      now: () => now,
      onThrottled: (address) => throttled.push(address),
      addressOf: ({ req }) => req.header('test-address') ?? '',
    }),
  );
  app.all('/v1/x', (context) => context.text('done'));
  const call = (token: string | null, address = '192.0.2.1', method = 'PUT') =>
    app.request('/v1/x', {
      method,
      headers: { 'test-address': address, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    });

  for (let n = 0; n < 10; n++) expect((await call(`guess-${n}`)).status).toBe(401);
  now += 20_000;
  const blocked = await call('right');
  expect(blocked.status).toBe(429);
  expect(blocked.headers.get('retry-after')).toBe('40');
  expect(await blocked.json()).toMatchObject({ status: 429, detail: expect.stringContaining('40 s') });
  expect((await call('guess')).status).toBe(429);
  expect(throttled).toEqual(['192.0.2.1']);
  // Requests without a token, reads, and other addresses are not blocked.
  expect((await call(null)).status).toBe(401);
  expect((await call('right', '192.0.2.1', 'GET')).status).toBe(200);
  expect((await call('right', '192.0.2.2')).status).toBe(200);
  now += 40_000;
  expect((await call('right')).status).toBe(200);
  // After a recent success the right token stays valid while another client at the same address guesses.
  for (let n = 0; n < 10; n++) await call(`other-${n}`);
  expect((await call('other')).status).toBe(429);
  expect((await call('right')).status).toBe(200);
  now += 30_000;
  expect((await call('right')).status).toBe(200);
});
