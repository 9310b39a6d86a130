import { expect, test } from 'vitest';
import { parseDrainDeadline, registrationSchema } from './request-schemas.ts';

test('a drain ends at an instant to come, within a year', () => {
  const now = Date.UTC(2026, 0, 1);
  expect(parseDrainDeadline('5m', now)).toBe(now + 300_000);
  expect(parseDrainDeadline(now + 1_500, now)).toBe(now + 1_500);
  expect(parseDrainDeadline('2026-01-01T00:01:00Z', now)).toBe(now + 60_000);
  for (const wrong of [now, 0, -1, 1e300, Number.NaN, '0s', 'soon', '9999-01-01T00:00:00Z']) {
    expect(parseDrainDeadline(wrong, now), String(wrong)).toBeNull();
  }
});

test('an instance registers with an address that HAProxy can hold', () => {
  const urlOf = (url: string) => registrationSchema.safeParse({ id: 'gs-3', url }).data?.url;
  expect(urlOf('HTTP://10.0.0.7:8004/')).toBe('http://10.0.0.7:8004');
  for (const wrong of [
    'http://10.0.0.7:0',
    'http://10.0.0.7/x',
    'http://a:b@10.0.0.7',
    'ftp://10.0.0.7',
    '10.0.0.7',
  ]) {
    expect(urlOf(wrong), wrong).toBeUndefined();
  }
});
