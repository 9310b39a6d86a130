import { expect, test } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';

test('parses the URL of one Redis', () => {
  expect(parseRedisUrl('redis://u:p%40ss@h:1/2')).toEqual({
    kind: 'server',
    hosts: [{ host: 'h', port: 1 }],
    username: 'u',
    password: 'p@ss',
    db: 2,
  });
  expect(parseRedisUrl('rediss://')).toMatchObject({ hosts: [{ host: 'localhost', port: 6379 }], tls: {} });
});

test('parses the URL of a master with Sentinels', () => {
  expect(parseRedisUrl('redis+sentinel://:p%40ss@s1:26380,s2/lb/2?sentinelPassword=x')).toEqual({
    kind: 'sentinel',
    hosts: [
      { host: 's1', port: 26380 },
      { host: 's2', port: 26379 },
    ],
    name: 'lb',
    password: 'p@ss',
    db: 2,
    sentinelPassword: 'x',
  });
  expect(parseRedisUrl('rediss+sentinel://[::1]:5000/lb')).toMatchObject({
    hosts: [{ host: '::1', port: 5000 }],
    tls: {},
  });
});

test('parses the URL of a cluster', () => {
  expect(parseRedisUrl('redis+cluster://u:p@a:7000,b:7001')).toEqual({
    kind: 'cluster',
    hosts: [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
    ],
    username: 'u',
    password: 'p',
  });
});

test.each([
  ['redis+sentinel://:secret@host:1', /MASTER/],
  ['redis://:secret@a,b', /expected redis:\/\//],
  ['redis+cluster://:secret@a/1', /only database 0/],
  ['redis://:sec/ret@a', /%2F/],
  ['redis://:secret?secret@a', /%3F/],
  ['redis://:secret#secret@a', /%23/],
  ['redis://:secret@a:99999', /is not host:port/],
  ['redis://:secret@a/nonsense', /\/DB/],
  ['redis://:secret@a?cacert=x', /"cacert" is unknown/],
  ['rediss://:secret@a?cacert=/nowhere', /cacert=\/nowhere cannot be read \(ENOENT\)/],
  [`rediss://:secret@a?cacert=${import.meta.filename}`, /contains no PEM certificate/],
  ['rediss://:secret%@a', /%25/],
])('%s is rejected with an error that does not contain the password', (url, why) => {
  expect(() => parseRedisUrl(url)).toThrow(why);
  expect(() => parseRedisUrl(url)).not.toThrow(/secret|sec/);
  expect(() => parseRedisUrl(url)).toThrow(/^REDIS_URL/);
});
