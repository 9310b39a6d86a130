import { expect, test } from 'vitest';
import { createLostCookies } from './lost-cookies.ts';

const SECOND = 1_000;
interface Client {
  cookie: boolean;
  status: number;
}

/** 100 requests of ten clients, one each second. */
function listAfter({ cookie, status }: Client) {
  const lost = createLostCookies();
  for (let at = 0; at < 100; at++) {
    const client = `192.0.2.${at % 10}`;
    const isFirst = at < 10;
    lost.observe({ service: 'gs', client, isWithoutSession: isFirst || !cookie, status }, at * SECOND);
  }
  return lost.list();
}

test('clients without cookies are reported when the instances reject their requests', () => {
  expect(listAfter({ cookie: false, status: 400 })).toEqual([{ service: 'gs', lost: 0.9, rejected: 1 }]);
  expect(listAfter({ cookie: true, status: 400 })).toEqual([]);
  // Clients without cookies are normal for an API while its requests succeed.
  expect(listAfter({ cookie: false, status: 200 })).toEqual([]);
  expect(listAfter({ cookie: false, status: 429 })).toEqual([]);
});

test('many clients with one request each are not reported', () => {
  const lost = createLostCookies();
  for (let at = 0; at < 10_000; at++)
    lost.observe({ service: 'gs', client: `c${at}`, isWithoutSession: true, status: 404 }, at * SECOND);
  expect(lost.list()).toEqual([]);
});
