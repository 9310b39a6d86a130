import { expect, test } from 'vitest';
import type { EdgeReport } from '../shared/edge-report.ts';
import { EdgeCounters, type RequestOutcome } from './counters.ts';

const outcome = (more: Partial<RequestOutcome> = {}): RequestOutcome => ({
  status: 200,
  attempts: 1,
  hedges: 0,
  moved: false,
  kind: 'answer',
  ms: 5,
  ...more,
});
const plan = (sites: string[], waiting: string[] = []) => ({
  sites: sites.map((site) => ({ site, snapshot: null })),
  waiting: new Set(waiting),
});
const totals = (reports: readonly EdgeReport[]) =>
  Object.fromEntries(
    reports.map(({ site, requests }) => [site, requests.reduce((sum, one) => sum + one.total, 0)]),
  );

test('each request is in the report of the site that served it, and in no other', () => {
  const counters = new EdgeCounters('i', 0);
  counters.countRequest('gs', 'east', outcome());
  counters.countRequest('gs', 'west', outcome());
  counters.countRequest('gs', 'west', outcome({ status: 503 }));
  counters.countRequest('gs', null, outcome({ status: 429, kind: 'limited' }));
  const reports = counters.takeReports(plan(['east', 'west']), 10);
  expect(totals(reports)).toEqual({ east: 2, west: 2 });
  expect(reports[0]?.requests).toMatchObject([
    { service: 'gs', total: 2, limited: 1, latency: { count: 1 } },
  ]);
  expect(counters.takeReports(plan(['east', 'west']), 20).flatMap(({ requests }) => requests)).toEqual([]);
});

test('requests of a site that gets no report go into that of another; those of a waiting site stay', () => {
  const counters = new EdgeCounters('i', 0);
  counters.countRequest('gs', 'east', outcome());
  counters.countRequest('gs', 'west', outcome());
  expect(totals(counters.takeReports(plan(['west'], ['east']), 10))).toEqual({ west: 1 });
  expect(totals(counters.takeReports(plan(['west']), 20))).toEqual({ west: 1 });
});

test('while no site can be reached everything is kept', () => {
  const counters = new EdgeCounters('i', 0);
  counters.countRequest('gs', 'east', outcome());
  expect(counters.takeReports(plan([]), 10)).toEqual([]);
  expect(totals(counters.takeReports(plan(['west']), 20))).toEqual({ west: 1 });
});

test('what is put back is in the next report of another site', () => {
  const counters = new EdgeCounters('i', 0);
  counters.countRequest('gs', 'east', outcome({ attempts: 3, hedges: 1 }));
  const [lost] = counters.takeReports(plan(['east']), 10);
  if (lost) counters.putBack(lost);
  counters.countRequest('gs', 'west', outcome());
  expect(counters.takeReports(plan(['west']), 20)[0]?.requests).toMatchObject([
    { service: 'gs', total: 2, retries: 2, hedges: 1, latency: { count: 2, sum: 10 } },
  ]);
});
