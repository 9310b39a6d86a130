import { expect, test } from 'vitest';
import { Gateways } from './gateways.ts';

const NOW = 1_700_000_000_000;
const A = 'http://a';
const B = 'http://b';

function failed(gateways: Gateways, times: number, now = NOW): void {
  for (let i = 0; i < times; i++) gateways.onFailure(A, now);
}

test('a gateway is taken out after three consecutive failures; a response in between resets the count', () => {
  const gateways = new Gateways();
  failed(gateways, 2);
  gateways.onResponse(A);
  failed(gateways, 2);
  expect(gateways.choose([A, B], [], NOW)).toBe(A);
  failed(gateways, 1);
  expect(gateways.choose([A, B], [], NOW)).toBe(B);
  expect(gateways.choose([A], [], NOW)).toBeNull();
});

test('after the backoff one request tries it again, and a failure of that request doubles the backoff', () => {
  const gateways = new Gateways();
  failed(gateways, 3);
  let now = NOW + 1_000;
  expect(gateways.isInUse(A, now)).toBe(true);
  expect(gateways.choose([A, B], [], now)).toBe(A);
  expect(gateways.choose([A, B], [], now)).toBe(B);
  gateways.onFailure(A, now);
  now += 1_999;
  expect(gateways.isInUse(A, now)).toBe(false);
  now += 1;
  expect(gateways.choose([A, B], [], now)).toBe(A);
  gateways.onResponse(A);
  expect(gateways.choose([A, B], [], now)).toBe(A);
});

test('a failure of an older request does not extend the backoff', () => {
  const gateways = new Gateways();
  failed(gateways, 3);
  failed(gateways, 5, NOW + 500);
  expect(gateways.status(NOW + 500)).toEqual([{ gateway: A, outForMs: 500 }]);
});

test('when the result of the trial request never comes, the next may try after one more interval', () => {
  const gateways = new Gateways();
  failed(gateways, 3);
  expect(gateways.choose([A], [], NOW + 1_000)).toBe(A);
  expect(gateways.choose([A], [], NOW + 1_500)).toBeNull();
  expect(gateways.choose([A], [], NOW + 2_000)).toBe(A);
});
