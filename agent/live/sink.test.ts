import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { createMemoryLiveState } from './memory.ts';
import { createLiveSink } from './sink.ts';

const config = parseConfig('version: 1\nsite: { id: main }\nservices: { gs: { routes: [/] } }\n');

test('without Redis the live state of the instances is not built', async () => {
  const live = createMemoryLiveState();
  const put = vi.spyOn(live, 'put');
  const sink = createLiveSink({
    live,
    config: () => config,
    log: pino({ level: 'silent' }),
    now: () => 1_000,
  });
  const instances = new Map([['gs/gs-1', sampleInstance({ id: 'gs-1' })]]);
  sink.accept({ at: 1_000, instances, changes: [] });
  await new Promise((resolve) => setImmediate(resolve));
  await sink.close(1_000);
  expect(put).not.toHaveBeenCalled();
  expect(await live.get(live.keys.instances('gs'))).toBeNull();
  expect(sink.status()).toMatchObject({ state: 'ok', pending: 0, lastSuccess: 1_000 });
});
