import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { JudgeEvent } from '../core/judge-event.ts';
import { instanceKey } from '../core/state.ts';
import type { InstanceRecord } from './instance-record.ts';
import { shiftRecord } from './shift.ts';
import { step } from './step.ts';

const { services: policies } = parseConfig(`
version: 1
site: { id: main }
services:
  gs:
    routes: [/]
    slowStart: 30s
    health: { rise: 2, fall: 3 }
    breaker: { window: 10s, minimumCalls: 10, openFor: 30s, halfOpenCalls: 5 }
`);
const START = 1_700_000_000_000;
const HOUR = 3_600_000;
const IDS = ['gs-1', 'gs-2', 'gs-3'];

/** A judge whose wall clock a test may set. */
function startJudge() {
  let records = new Map<string, InstanceRecord>();
  let now = START;
  const apply = (event: JudgeEvent) => {
    const result = step(records, event, policies, now);
    for (const record of result.records)
      records.set(instanceKey(record.instance.service, record.instance.id), record);
  };
  for (const id of IDS) {
    const source = {
      id,
      service: 'gs',
      url: `http://${id}`,
      origin: 'file',
      weight: 100,
      priority: 1,
      metadata: {},
    } as const;
    apply({ kind: 'register', known: true, reason: 'test', source });
  }
  return {
    wait(ms: number) {
      now += ms;
      apply({ kind: 'tick' });
    },
    setClock(ms: number) {
      now += ms;
      records = new Map([...records].map(([key, record]) => [key, shiftRecord(record, ms, policies)]));
    },
    probe: (instance: string, ok: boolean, early: boolean) =>
      apply({
        kind: 'probe',
        service: 'gs',
        instance,
        at: now,
        latencyMs: 1,
        ok,
        ...(!ok && { error: 'no answer' }),
        ...(!ok && early && { early }),
      }),
    traffic: (instance: string, success: number, failure: number, inflight: number) =>
      apply({
        kind: 'traffic',
        source: 'haproxy',
        service: 'gs',
        instance,
        at: now,
        success,
        failure,
        broken: failure,
        slow: 0,
        inflight,
      }),
    states: () =>
      [...records.values()].map(({ instance, breaker, flap, outlier }) => ({
        state: instance.state,
        breaker: breaker.state,
        outlier: outlier.state,
        held: flap.heldSince !== null,
        forMs: now - instance.since,
      })),
  };
}

const instances = fc.constantFrom(...IDS);
const commands = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
    fc.record({
      kind: fc.constant('probe' as const),
      id: instances,
      ok: fc.boolean(),
      early: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('traffic' as const),
      id: instances,
      success: fc.integer({ min: 0, max: 60 }),
      failure: fc.integer({ min: 0, max: 20 }),
      inflight: fc.integer({ min: 0, max: 5 }),
    }),
    fc.record({ kind: fc.constant('set' as const), hours: fc.integer({ min: -3, max: 3 }) }),
  ),
  { minLength: 20, maxLength: 120 },
);

type Command = (typeof commands extends fc.Arbitrary<infer All extends readonly unknown[]>
  ? All
  : never)[number];

function run(judge: ReturnType<typeof startJudge>, command: Command): void {
  if (command.kind === 'wait') judge.wait(command.ms);
  else if (command.kind === 'set') judge.setClock(command.hours * HOUR);
  else if (command.kind === 'probe') judge.probe(command.id, command.ok, command.early);
  else judge.traffic(command.id, command.success, command.failure, command.inflight);
}

test('setting the clock by hours changes no decision', () => {
  fc.assert(
    fc.property(commands, (all) => {
      const [steady, moved] = [startJudge(), startJudge()];
      for (const command of all) {
        if (command.kind !== 'set') run(steady, command);
        run(moved, command);
        expect(moved.states()).toEqual(steady.states());
      }
    }),
    { numRuns: 60 },
  );
});

test('an open breaker keeps its remaining time', () => {
  const judge = startJudge();
  for (const id of IDS) for (let times = 0; times < 2; times++) judge.probe(id, true, false);
  judge.traffic('gs-1', 0, 20, 0);
  expect(judge.states()[0]?.breaker).toBe('open');
  judge.setClock(HOUR);
  judge.wait(29_000);
  expect(judge.states()[0]?.breaker).toBe('open');
  judge.setClock(-2 * HOUR);
  judge.wait(1_000);
  expect(judge.states()[0]?.breaker).toBe('half_open');
});

test('an instance that flaps is released when its penalty has decayed', () => {
  const judge = startJudge();
  judge.setClock(HOUR);
  for (let falls = 0; falls < 3; falls++) {
    for (let passes = 0; passes < 2; passes++) judge.probe('gs-1', true, false);
    for (let failures = 0; failures < 3; failures++) judge.probe('gs-1', false, false);
  }
  judge.wait(1_000);
  expect(judge.states()[0]?.held).toBe(true);
  judge.setClock(-2 * HOUR);
  judge.wait(60_000);
  expect(judge.states()[0]?.held).toBe(true);
  judge.wait(60_000);
  expect(judge.states()[0]?.held).toBe(false);
});

test('a late probe and a clock that is set do not add up to a hang', () => {
  for (const hours of [-2, -1, 1]) {
    const judge = startJudge();
    for (const id of IDS) for (let times = 0; times < 2; times++) judge.probe(id, true, false);
    judge.wait(30_000);
    judge.traffic('gs-1', 5, 0, 0);
    judge.traffic('gs-1', 0, 0, 1);
    judge.probe('gs-1', false, true);
    judge.setClock(hours * HOUR);
    for (let times = 0; times < 3; times++) {
      judge.wait(60);
      judge.probe('gs-1', false, true);
    }
    expect(judge.states()[0]?.state).not.toBe('down');
    judge.wait(1_000);
    judge.probe('gs-1', false, true);
    expect(judge.states()[0]?.state).toBe('down');
  }
});
