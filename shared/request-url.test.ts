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
  ['http://x/y/..\\__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://x\\__acgs/edge-reports', 'x', '/__acgs/edge-reports'],
  ['http://x/a/..', 'x', '/'],
  ['http://x/a/.hidden?q=%2e', 'x', '/a/.hidden?q=%2e'],
  ['http://x/admin#/', 'x', '/admin'],
  ['http://x/admin#', 'x', '/admin'],
  ['http://x?y/a', null, null],
  ['http://x*', null, null],
  ['http://x', null, null],
  ['http://u:p@x/', null, null],
  ['http://x";for=192.0.2.1/', null, null],
  ['http://a b/', null, null],
  ['http:///a', null, null],
])('%s asks %s for %s', (raw, host, target) => {
  expect(parseRequestUrl(raw)).toEqual(host === null ? null : { proto: raw.split(':')[0], host, target });
});

test('the target equals that of the URL parser', () => {
  for (const raw of ['http://x/a/../b/%2E%2e/c', 'http://x/.', 'http://x/..//a', 'http://x/a\\..\\b?c\\d']) {
    const { pathname, search } = new URL(raw);
    expect(parseRequestUrl(raw)?.target).toBe(pathname + search);
  }
});
