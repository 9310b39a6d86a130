import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { requestsOf } from '../../test/harness/requests.ts';
import { createTrafficWindow, emptyTotals } from '../core/traffic-window.ts';
import { historyRange, summarizeWithHistory } from './long-summary.ts';

const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const MINUTE = 60_000;
const NOW = 1_000 * MINUTE + 30_000;

test('each minute comes from either the database or memory', () => {
  expect(historyRange(NOW, 15 * MINUTE, 0)).toEqual({ from: 985 * 60, to: 999 * 60 });
  // The agent has just started: it has not written any minute yet.
  expect(historyRange(NOW, 15 * MINUTE, NOW - 5_000)).toEqual({ from: 985 * 60, to: 1_000 * 60 });
});

test('requests of the database and of memory are added up, without those that both have', () => {
  const window = createTrafficWindow();
  window.addRequests(requestsOf(998 * MINUTE, 1_000));
  window.addRequests(requestsOf(999 * MINUTE, 30, 2, { limited: 1, retries: 4 }));
  window.addRequests(requestsOf(NOW - 100, 10, 1));
  const range = historyRange(NOW, 15 * MINUTE, 0);
  const stored = { ...emptyTotals(), success: 50, failure: 7, attempts: 60, hedges: 3 };
  const input = { config, window, instances: [], now: NOW, since: 0, spanMs: 15 * MINUTE };
  const summary = summarizeWithHistory(input, range, new Map([['gs', stored]]));
  expect(summary.services).toMatchObject([
    {
      id: 'gs',
      requests: 100,
      failed: 10,
      errorPercent: 10,
      attempts: 60,
      retries: 4,
      hedges: 3,
      limited: 1,
    },
  ]);
  expect(summary).toMatchObject({ windowSeconds: 900, total: { requests: 100, failed: 10 } });
});
