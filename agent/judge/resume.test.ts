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

function judged(): Map<string, InstanceRecord> {
  const book = new Map(
    initialRecords(config, null, START).map((record) => [`gs/${record.instance.id}`, record]),
  );
  const tell = (event: Parameters<typeof step>[1]) => {
    for (const record of step(book, event, config.services, START).records) book.set('gs/gs-1', record);
  };
  const probe = {
    kind: 'probe',
    service: 'gs',
    instance: 'gs-1',
    at: START,
    latencyMs: 1,
    ok: true,
  } as const;
  tell(probe);
  tell(probe);
  tell({
    kind: 'admin',
    service: 'gs',
    instance: 'gs-1',
    admin: 'drain',
    deadline: START + 9,
    reason: 'test',
  });
  return book;
}

/** Through JSON and the parser, as the file does it. */
const saved = (book: Map<string, InstanceRecord>) =>
  new Map(
    [...book].flatMap(([key, record]) => {
      const back = parseSavedRecord(JSON.parse(JSON.stringify(record)));
      return back ? [[key, back] as const] : [];
    }),
  );

test('a restart changes nothing: state, operator, deadline and proof are as before', () => {
  const book = judged();
  const [after] = initialRecords(config, saved(book), START + 5_000);
  if (!after) throw new Error('the instance is gone');
  const { lastProbe: _, ...before } = book.get('gs/gs-1')?.instance ?? {};
  expect(after.instance).toEqual(before);
  expect(step(new Map([['gs/gs-1', after]]), { kind: 'tick' }, config.services, START + 5).changes).toEqual(
    [],
  );
});

test('a changed address is a stranger after a restart too', () => {
  const moved = parseConfig(yaml('http://127.0.0.1:9000'));
  const [after] = initialRecords(moved, saved(judged()), START);
  expect(after).toMatchObject({ known: true, instance: { health: 'unknown', state: 'down' } });
});

test('damaged state is not used', () => {
  expect(parseSavedRecord({ source: { id: 'gs-1' } })).toBeNull();
});
