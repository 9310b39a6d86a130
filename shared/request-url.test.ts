import { expect, test } from 'vitest';
import { parseRequestUrl } from './request-url.ts';

test.each([
  ['http://x/a/b?c=/d', 'x', '/a/b?c=/d'],
  ['https://x.example:8443/', 'x.example:8443', '/'],
  ['http://[::1]:80/a//b', '[::1]:80', '/a//b'],
  ['http://x/y/../__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://x/y/.%2E/__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://x/./__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://x/%2e/__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://X.Example:80/', 'x.example:80', '/'],
  ['http://x/y/..\\__acgs/edge-reports', null, null],
  ['http://x\\__acgs/edge-reports', null, null],
  ['http://x/é', null, null],
  ['http://x/a"b', null, null],
  ['http://x/a|b', 'x', '/a|b'],
  ['http://x/a^b', null, null],
  ['http://x/a?b|c\\d', 'x', '/a?b|c\\d'],
  ['http://x,internal.example/', null, null],
  ['http://%61/', null, null],
  ['http://x:y/', null, null],
  ['http://x/a/..', 'x', '/'],
  ['http://x/a/.hidden?q=%2e', 'x', '/a/.hidden?q=%2e'],
  ['http://x/admin#/', null, null],
  ['http://x/admin#', null, null],
  ['http://x?y/a', null, null],
  ['http://x*', null, null],
  ['http://x', null, null],
  ['http://u:p@x/', null, null],
  ['http://x";for=192.0.2.1/', null, null],
  ['http://a b/', null, null],
  ['http:///a', null, null],
])('%s asks %s for %s', (raw, host, target) => {
  expect(parseRequestUrl(raw, null)).toEqual(
    host === null ? null : { proto: raw.split(':')[0], host, target },
  );
});

test('the target equals that of the URL parser', () => {
  for (const raw of ['http://x/a/../b/%2E%2e/c', 'http://x/.', 'http://x/..//a', 'http://x/a/..?c\\d']) {
    const { pathname, search } = new URL(raw);
    expect(parseRequestUrl(raw, null)?.target).toBe(pathname + search);
  }
});

test('a Host field that is not a host is refused, although the joined URL is valid', () => {
  expect(parseRequestUrl('http://a/b/p', 'a/b')).toBeNull();
  expect(parseRequestUrl('http://a/p', 'a')).not.toBeNull();
});
