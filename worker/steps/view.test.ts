import { expect, test } from 'vitest';
import { HANGS, isolateOf, NOW, sealed } from '../../test/harness/isolate.ts';
import { currentView } from './view.ts';

test('while Hub and KV hang, only the first requests of an isolate wait for them', async () => {
  let isHanging = false;
  let found: Awaited<ReturnType<typeof sealed>> | null = null;
  const source = async () => (isHanging ? HANGS() : found);
  const isolate = isolateOf({
    hub: async () => {
      await source();
      throw new Error('down');
    },
    kv: source,
  });
  const edge = { ...isolate, snapshots: isolate.store };
  const background: Promise<unknown>[] = [];
  const ctx = { waitUntil: (work: Promise<unknown>) => void background.push(work) };
  const viewAt = (startedAt: number) =>
    currentView({ startedAt } as Parameters<typeof currentView>[0], edge, ctx);

  expect(await viewAt(NOW)).toBeNull();
  isHanging = true;
  const searching = viewAt(NOW + 3_000);
  expect(searching).toBeInstanceOf(Promise);
  // The others use the fallback at once; the one that searches does so soon, although no source answers.
  expect(viewAt(NOW + 3_000)).toBeNull();
  expect(await searching).toBeNull();
  expect(background).toHaveLength(1);

  isHanging = false;
  found = await sealed(1);
  // A search that takes this long was cancelled.
  expect(await viewAt(NOW + 10_000)).toBe(isolate.store.view);
  expect(isolate.store.view).not.toBeNull();
});
