import { expect, test } from 'vitest';
import { sampleTrace } from '../test/harness/traces.ts';
import type { RequestOutcome } from './counters.ts';
import { TraceLog } from './trace-log.ts';

const outcome = (parts: Partial<RequestOutcome> = {}): RequestOutcome => ({
  status: 200,
  attempts: 1,
  hedges: 0,
  moved: false,
  kind: 'answer',
  ms: 5,
  ...parts,
});

const takeAll = (log: TraceLog) =>
  log.take(
    () => true,
    (site) => site || 'main',
  );

test.each([
  ['a 5xx', outcome({ status: 502 }), '00', true],
  ['a retried request', outcome({ attempts: 2 }), '00', true],
  ['no instance', outcome({ kind: 'unavailable', status: 503 }), '00', true],
  ['a slow request', outcome({ ms: 1_000 }), '00', true],
  ['a held answer', outcome({ ms: 1_000, longLived: true }), '00', false],
  ['a rejected request', outcome({ kind: 'limited', status: 429 }), '00', true],
  ['a request for no service', { status: 404, attempts: 0, kind: 'unrouted', ms: 0 } as const, '00', true],
  ['a sampled request', outcome(), '01', true],
  ['an ordinary request', outcome({ status: 404 }), '00', false],
])('%s', (_, one, flags, described) => {
  expect(new TraceLog().admit(one, flags)).toBe(described);
});

test('each class has its own bound, so rejected requests never crowd out failed ones', () => {
  const log = new TraceLog();
  const admitted = (one: RequestOutcome) =>
    Array.from({ length: 100 }, () => log.admit(one, '00')).filter(Boolean).length;
  expect(admitted(outcome({ kind: 'limited', status: 429 }))).toBe(20);
  expect(admitted(outcome({ status: 503 }))).toBe(40);
  expect(log.takeDropped()).toBe(140);
  expect(log.takeDropped()).toBe(0);
  takeAll(log);
  expect(admitted(outcome({ status: 503 }))).toBe(40);
});

test('a report takes the traces of its site; the traces of a site whose report is not delivered yet stay', () => {
  const log = new TraceLog();
  log.add('a', sampleTrace({ requestId: '1' }));
  log.add('b', sampleTrace({ requestId: '2' }));
  log.add('', sampleTrace({ requestId: '3' }));
  const taken = log.take(
    ({ site }) => site !== 'b',
    (site) => site || 'a',
  );
  expect([...taken].map(([site, traces]) => [site, traces.map(({ requestId }) => requestId)])).toEqual([
    ['a', ['1', '3']],
  ]);
  expect(takeAll(log).get('b')).toHaveLength(1);
});

test('traces of reports that cannot be delivered are bounded', () => {
  const log = new TraceLog();
  for (let count = 0; count < 1_000; count++) log.add('', sampleTrace());
  expect(takeAll(log).get('main')).toHaveLength(240);
  expect(log.takeDropped()).toBe(760);
});
