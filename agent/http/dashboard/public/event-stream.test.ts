import { afterEach, expect, test, vi } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { followEventStream } from './event-stream.js';

afterEach(() => vi.unstubAllGlobals());

test('a failed stream is closed before the next one opens', async () => {
  const opened: (AbortSignal | null | undefined)[] = [];
  vi.stubGlobal('addEventListener', () => {});
  vi.stubGlobal('document', { addEventListener: () => {} });
  vi.stubGlobal('fetch', async (_path: string, { signal }: RequestInit) => {
    expect(opened.every((earlier) => earlier?.aborted)).toBe(true);
    opened.push(signal);
    const message = new TextEncoder().encode('event: status\ndata: {}\n\n');
    return new Response(new ReadableStream({ start: (controller) => controller.enqueue(message) }));
  });
  let events = 0;
  const reasons: string[] = [];
  followEventStream('/v1/live', {
    token: () => null,
    onEvent() {
      if (++events === 1) throw new Error('bad message');
    },
    onDisconnect: (why) => reasons.push(why),
  });
  await eventually(() => expect(events).toBe(2));
  expect(reasons).toEqual(['bad message']);
  expect(opened.map((signal) => signal?.aborted)).toEqual([true, false]);
});
