import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { initialRecords } from './initial.ts';
import type { InstanceRecord } from './instance-record.ts';
import { parseSavedRecord } from './resume.ts';
import { step } from './step.ts';

const yaml = (url: string) => `
version: 1
site: { id: main }
services:
  gs:
    routes: [/]
    instances: [ { id: gs-1, url: "${url}" } ]
`;
const config = parseConfig(yaml('http://127.0.0.1:8004'));
const START = 1_700_000_000_000;

function judgedRecords(): Map<string, InstanceRecord> {
  const records = new Map(
    initialRecords(config, null, START).map((record) => [`gs/${record.instance.id}`, record]),
  );
  const apply = (event: Parameters<typeof step>[1]) => {
    for (const record of step(records, event, config.services, START).records) records.set('gs/gs-1', record);
  };
  const probe = {
    kind: 'probe',
    service: 'gs',
    instance: 'gs-1',
    at: START,
    latencyMs: 1,
    ok: true,
  } as const;
  apply(probe);
  apply(probe);
  apply({
    kind: 'admin',
    service: 'gs',
    instance: 'gs-1',
    admin: 'drain',
    deadline: START + 9,
    reason: 'test',
  });
  return records;
}

/** Saved as JSON and parsed again. */
const saved = (records: Map<string, InstanceRecord>) =>
  new Map(
    [...records].flatMap(([key, record]) => {
      const back = parseSavedRecord(JSON.parse(JSON.stringify(record)));
      return back ? [[key, back] as const] : [];
    }),
  );

test('a restart keeps state, admin state, drain deadline, and passed checks', () => {
  const records = judgedRecords();
  const [after] = initialRecords(config, saved(records), START + 5_000);
  if (!after) throw new Error('the instance is gone');
  const { lastProbe: _, ...before } = records.get('gs/gs-1')?.instance ?? {};
  expect(after.instance).toEqual(before);
  expect(step(new Map([['gs/gs-1', after]]), { kind: 'tick' }, config.services, START + 5).changes).toEqual(
    [],
  );
});

test('an instance with a new address starts over after a restart', () => {
  const moved = parseConfig(yaml('http://127.0.0.1:9000'));
  const [after] = initialRecords(moved, saved(judgedRecords()), START);
  expect(after).toMatchObject({ known: true, instance: { health: 'unknown', state: 'down' } });
});

test('a damaged record is not used', () => {
  expect(parseSavedRecord({ source: { id: 'gs-1' } })).toBeNull();
});
