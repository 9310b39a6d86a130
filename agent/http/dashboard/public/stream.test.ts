import { afterEach, expect, test, vi } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { follow } from './stream.js';

afterEach(() => vi.unstubAllGlobals());

test('a stream that was given up is closed before the next is opened', async () => {
  const opened: (AbortSignal | null | undefined)[] = [];
  vi.stubGlobal('addEventListener', () => {});
  vi.stubGlobal('document', { addEventListener: () => {} });
  vi.stubGlobal('fetch', async (_path: string, { signal }: RequestInit) => {
    expect(opened.every((earlier) => earlier?.aborted)).toBe(true);
    opened.push(signal);
    const frame = new TextEncoder().encode('event: status\ndata: {}\n\n');
    return new Response(new ReadableStream({ start: (controller) => controller.enqueue(frame) }));
  });
  let frames = 0;
  const told: string[] = [];
  follow('/v1/live', {
    token: () => null,
    frame() {
      if (++frames === 1) throw new Error('it does not fit');
    },
    lost: (why) => told.push(why),
  });
  await eventually(() => expect(frames).toBe(2));
  expect(told).toEqual(['it does not fit']);
  expect(opened.map((signal) => signal?.aborted)).toEqual([true, false]);
});
