import { expect, test } from 'vitest';
import { parseSentinelUrl } from './redis-url.ts';

test('a master that Sentinels know', () => {
  expect(parseSentinelUrl('redis+sentinel://:p%40ss@s1:26380,s2/lb/2?sentinelPassword=x')).toEqual({
    sentinels: [
      { host: 's1', port: 26380 },
      { host: 's2', port: 26379 },
    ],
    name: 'lb',
    password: 'p@ss',
    db: 2,
    sentinelPassword: 'x',
  });
  expect(parseSentinelUrl('rediss+sentinel://[::1]:5000/lb')).toMatchObject({
    sentinels: [{ host: '::1', port: 5000 }],
    tls: {},
    enableTLSForSentinelMode: true,
  });
});

test('an ordinary URL is left to the client, a wrong one is told without its password', () => {
  expect(parseSentinelUrl('rediss://u:p@h:6379/0')).toBeNull();
  expect(() => parseSentinelUrl('redis+sentinel://:secret@host:1')).toThrow(/MASTER/);
  expect(() => parseSentinelUrl('redis+sentinel://:secret@host:1')).not.toThrow(/secret/);
});
