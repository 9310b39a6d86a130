import { expect, test } from 'vitest';
import { ADMIN_PATHS, OTHER_PATHS, RULE_PATHS } from '../test/vectors/access.ts';
import { compileAccess } from './access.ts';
import { clientKey, compileNetworks, parseClientAddress } from './address.ts';
import { backoffMs } from './failover.ts';
import { pathReadings } from './path.ts';
import { compileRoutes } from './route.ts';
import {
  acceptsStale,
  isPrivate,
  isSharedCacheable,
  isStorable,
  servableMs,
  wantsStoredOnly,
} from './stale-cache.ts';
import { AdaptiveThrottle } from './throttle.ts';

test('routes: the longest prefix at a segment boundary wins, then the one with a host', () => {
  const route = compileRoutes([
    { id: 'gs', routes: ['/api/v1/governance', '/'] },
    { id: 'auth', routes: ['/api/v1/auth'] },
    { id: 'deep', routes: ['/api/v1/auth/deep'] },
    { id: 'tenant', routes: ['/'], hosts: ['t.example'] },
  ]);
  const to = (path: string, host = 'x') => route(host, path)?.id;
  expect(to('/api/v1/auth')).toBe('auth');
  expect(to('/api/v1/auth/x')).toBe('auth');
  expect(to('/api/v1/authority')).toBe('gs');
  expect(to('/api/v1/auth/deep/er')).toBe('deep');
  expect(to('/')).toBe('gs');
  expect(to('/', 't.example')).toBe('tenant');
  expect(to('/api/v1/auth', 't.example')).toBe('auth');
  expect(compileRoutes([{ id: 'a', routes: ['/a'] }])('x', '/b')).toBeNull();
});

test.each(ADMIN_PATHS)('%s is guarded by /admin: %s', (path, guarded) => {
  const check = compileAccess([{ path: '/admin', allow: ['10.0.0.0/8'] }]);
  expect(check(path, '203.0.113.1').allowed).toBe(!guarded);
  expect(check(path, '10.1.2.3').allowed).toBe(true);
});

test.each(RULE_PATHS)('a rule for %s covers %s', (path, request) => {
  expect(compileAccess([{ path, deny: ['0.0.0.0/0'] }])(request, '203.0.113.1')).toEqual({
    allowed: false,
    rule: path,
  });
});

test.each(OTHER_PATHS)('a rule for %s does not cover %s', (path, request) => {
  expect(compileAccess([{ path, deny: ['0.0.0.0/0'] }])(request, '203.0.113.1').allowed).toBe(true);
});

test('deny overrides allow; invalid escapes do not bypass a rule', () => {
  const check = compileAccess([{ path: '/', allow: ['10.0.0.0/8'], deny: ['10.0.0.66'] }]);
  expect(check('/', '10.0.0.66').allowed).toBe(false);
  expect(pathReadings('/%zz/%ff/a')).toContain('/%zz/ÿ/a');
});

test('addresses: IPv6 by /64, IPv4-mapped IPv6 becomes IPv4, ports are removed', () => {
  expect(clientKey('2001:db8:1:2:3:4:5:6')).toBe(clientKey('2001:db8:1:2:ffff::1'));
  expect(clientKey('2001:db8:1:2::1')).not.toBe(clientKey('2001:db8:1:3::1'));
  expect(parseClientAddress('::ffff:10.0.0.1')).toBe('10.0.0.1');
  expect(parseClientAddress('10.0.0.1:1234')).toBe('10.0.0.1');
  expect(parseClientAddress('[2001:db8::1]:443')).toBe('2001:db8::1');
  expect(parseClientAddress('evil')).toBeNull();
  const inside = compileNetworks([
    ...['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'],
    ...['::ffff:198.51.100.0/120', '::ffff:203.0.113.9'],
  ]);
  expect(['198.51.100.7', '203.0.113.9', '198.51.101.7', '203.0.113.10'].map(inside)).toEqual([
    ...[true, true],
    ...[false, false],
  ]);
  expect(['10.9.9.9', '2001:db8::5', '192.0.2.1', '::ffff:10.0.0.1'].map(inside)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(['11.0.0.1', '2001:db9::5', '192.0.2.2', 'x'].map(inside)).toEqual([false, false, false, false]);
});

test('backoff doubles up to its maximum, with 50 % jitter', () => {
  expect([1, 2, 3].map((retry) => backoffMs(retry, 20, () => 0))).toEqual([10, 20, 40]);
  expect(backoffMs(30, 20, () => 0.999)).toBeLessThanOrEqual(1_000);
});

test('the throttle passes all requests while the service accepts them, rejects class 9 first, and recovers', () => {
  const throttle = new AdaptiveThrottle();
  for (let i = 0; i < 100; i++) {
    throttle.onRequest(1_000_000);
    throttle.onAccept(1_000_000);
  }
  expect(throttle.rejectProbability(9, 1_000_000)).toBe(0);
  for (let i = 0; i < 60; i++) throttle.onRequest(1_000_000);
  expect(throttle.rejectProbability(0, 1_000_000)).toBe(0);
  expect(throttle.rejectProbability(9, 1_000_000)).toBeGreaterThan(0.15);
  expect(throttle.rejectProbability(9, 1_004_000)).toBe(0);
});

/** A service that accepts `capacity` requests a second, in 100 ms steps. Returns what was sent and what was rejected. */
function overload(
  throttle: AdaptiveThrottle,
  load: { class: number; rate: number; from: number; to: number },
) {
  const capacity = 20;
  const result = { sent: 0, rejected: 0 };
  for (let now = load.from; now < load.to; now += 100) {
    const probability = throttle.rejectProbability(load.class, now);
    const rejected = Math.floor((load.rate / 10) * probability);
    const sent = load.rate / 10 - rejected;
    for (let i = 0; i < load.rate / 10; i++) throttle.onRequest(now);
    for (let i = 0; i < Math.min(sent, capacity / 10); i++) throttle.onAccept(now);
    result.sent += sent;
    result.rejected += rejected;
  }
  return result;
}

test('at ten times the capacity the throttle sends little more than the service accepts, and less of class 9', () => {
  const [low, high] = [new AdaptiveThrottle(), new AdaptiveThrottle()];
  for (const throttle of [low, high]) overload(throttle, { class: 5, rate: 200, from: 0, to: 4_000 });
  const sentOf9 = overload(low, { class: 9, rate: 200, from: 4_000, to: 14_000 }).sent;
  const sentOf0 = overload(high, { class: 0, rate: 200, from: 4_000, to: 14_000 }).sent;
  // 200 fit into the ten seconds.
  expect(sentOf9).toBeGreaterThan(200);
  expect(sentOf9).toBeLessThan(350);
  expect(sentOf0).toBeGreaterThan(1.8 * sentOf9);
  expect(sentOf0).toBeLessThan(700);
});

test('the throttle rejects nothing four seconds after an overload', () => {
  const throttle = new AdaptiveThrottle();
  overload(throttle, { class: 9, rate: 200, from: 0, to: 30_000 });
  overload(throttle, { class: 9, rate: 10, from: 30_000, to: 34_000 });
  expect(overload(throttle, { class: 9, rate: 10, from: 34_000, to: 60_000 }).rejected).toBe(0);
  expect(throttle.rejectProbability(9, 34_000)).toBe(0);
});

test('stores only responses that allow caching', () => {
  const request = { method: 'GET', headers: new Headers() };
  const response = (headers: Record<string, string>, status = 200) => ({
    status,
    headers: new Headers({ 'content-length': '2', ...headers }),
  });
  expect(isStorable(request, response({ 'cache-control': 'public, max-age=60' }))).toBe(true);
  expect(isStorable(request, response({}))).toBe(false);
  for (const control of [
    'private, max-age=9',
    'no-store',
    'max-age=0',
    'no-cache, max-age=5',
    'max-age=5, must-revalidate',
    'public, max-age=5, proxy-revalidate',
    'max-age=60',
    'stale-if-error=60',
    's-maxage=0',
    's-maxage="0"',
    's-maxage=-60',
    's-maxage=60, s-maxage=0',
    'max-age=60, not-public',
    'max-age=60, public-ish=1',
    'max-age=60, ext="a, public, b"',
    'max-age=60, ext="a\\", s-maxage=60, b"',
    'max-age=60, ext="a, public',
    'PUBLIC, NO-STORE',
    'public, private="set-cookie"',
  ]) {
    expect(isStorable(request, response({ 'cache-control': control })), control).toBe(false);
  }
  for (const control of ['max-age=60,\tPublic', 'x="a, b",public', 's-maxage="60"', 'public, x="open'])
    expect(isStorable(request, response({ 'cache-control': control })), control).toBe(true);
  const cacheable = { 'cache-control': 's-maxage=60' };
  expect(isStorable(request, response(cacheable))).toBe(true);
  for (const name of ['cdn-cache-control', 'cloudflare-cdn-cache-control', 'surrogate-control']) {
    expect(isStorable(request, response({ ...cacheable, [name]: 'no-store' })), name).toBe(false);
    expect(isStorable(request, response({ ...cacheable, [name]: 'max-age=9' })), name).toBe(true);
  }
  for (const field of [
    'cookie',
    'authorization',
    'x-api-key',
    'apikey',
    'x-governance-session',
    'x-unknown',
  ]) {
    const headers = new Headers({ accept: '*/*', [field]: 'secret' });
    expect(isStorable({ method: 'GET', headers }, response(cacheable)), field).toBe(false);
  }
  const anonymous = new Headers({
    accept: '*/*',
    'user-agent': 'x',
    'sec-fetch-mode': 'cors',
    'x-forwarded-for': '192.0.2.1',
    cookie: 'acgs_affinity=k.abc',
  });
  expect(isStorable({ method: 'GET', headers: anonymous }, response(cacheable))).toBe(true);
  expect(isStorable(request, response({ ...cacheable, 'set-cookie': 'a=1' }))).toBe(false);
  expect(isStorable(request, response({ ...cacheable, vary: 'cookie' }))).toBe(false);
  expect(isStorable({ ...request, headers: new Headers({ authorization: 'x' }) }, response(cacheable))).toBe(
    false,
  );
  expect(isStorable({ ...request, method: 'POST' }, response(cacheable))).toBe(false);
  for (const control of ['no-cache', 'max-age=0', 'only-if-cached'])
    expect(acceptsStale({ method: 'GET', headers: new Headers({ 'cache-control': control }) }), control).toBe(
      false,
    );
});

test.each<[string, string | null, number]>([
  ['public, max-age=5', null, 600_000],
  ['s-maxage=5', null, 5_000],
  ['public, max-age=900, s-maxage="5"', '3', 2_000],
  ['s-maxage=5', '9', 0],
  ['s-maxage=5', '9, 9', 0],
  ['s-maxage=5', '-500', 5_000],
  ['s-maxage=5, s-maxage=3', null, 3_000],
  ['public, max-age=5, stale-if-error=10', null, 15_000],
  ['public, stale-if-error=9999', null, 600_000],
])('%s with age %s may be served for %i ms', (control, age, ms) => {
  const headers = new Headers({ 'cache-control': control, ...(age !== null && { age }) });
  expect(servableMs(headers, 600_000)).toBe(ms);
});

test('which responses a shared cache may keep', () => {
  const kept = (headers: Record<string, string>) => isSharedCacheable(new Headers(headers), 0);
  for (const control of ['public', 'max-age=5', 's-maxage=5'])
    expect(kept({ 'cache-control': control })).toBe(true);
  for (const control of ['private, max-age=5', 'no-store', 'max-age=0', 'no-cache'])
    expect(kept({ 'cache-control': control })).toBe(false);
  expect(kept({ expires: 'Thu, 01 Jan 2099 00:00:00 GMT' })).toBe(true);
  expect(kept({})).toBe(false);
  const isMarked = (control?: string) =>
    isPrivate(new Headers(control === undefined ? {} : { 'cache-control': control }));
  expect([undefined, '', 'no-cache', 'max-age=0'].map(isMarked)).toEqual([false, false, false, false]);
  expect(['private', 'max-age=5, Private', 'no-store'].map(isMarked)).toEqual([true, true, true]);
});

test('only-if-cached stops only requests that a cache may answer (RFC 9111 §5.2.1.7)', () => {
  const wants = (method: string, control: string) =>
    wantsStoredOnly(method, new Headers(control ? { 'cache-control': control } : {}));
  expect(['GET', 'HEAD'].map((method) => wants(method, 'max-stale, only-if-cached'))).toEqual([true, true]);
  expect(['POST', 'PUT', 'DELETE'].map((method) => wants(method, 'only-if-cached'))).toEqual([
    false,
    false,
    false,
  ]);
  expect([wants('GET', ''), wants('GET', 'no-cache')]).toEqual([false, false]);
});
