import { expect, test } from 'vitest';
import { SITE_DIRECTORY } from '../../shared/snapshot/site-directory.ts';
import { directoryOf, hubOf, isolateOf, sealed, unchangedSince } from '../../test/harness/isolate.ts';

test('a newer directory removes a site and its instances; an older one and a forged one change nothing', async () => {
  const { fetcher, requests } = hubOf({
    main: await sealed(1, unchangedSince(1)),
    west: await sealed(1, { site: 'west', ...unchangedSince(1, 'west') }),
    [SITE_DIRECTORY]: await directoryOf(5, ['west']),
  });
  const { store, refresher } = isolateOf({ hub: fetcher });
  await refresher.refresh();
  const instances = () => store.view?.services.get('gs')?.candidates.map(({ id }) => id);
  expect(instances()).toEqual(['main-1', 'west-1']);
  await store.offer(new Map([[SITE_DIRECTORY, await directoryOf(4, [])]]), 'hub');
  const forged = await directoryOf(9, []);
  forged[forged.length - 2] = 0x20;
  await store.offer(new Map([[SITE_DIRECTORY, forged]]), 'hub');
  expect(store.sites).toEqual(['main', 'west']);
  expect(store.directory?.lastError).toMatch(/signature/);
  requests.content[SITE_DIRECTORY] = await directoryOf(6, []);
  await refresher.refresh();
  expect([store.sites, instances()]).toEqual([['main'], ['main-1']]);
});
