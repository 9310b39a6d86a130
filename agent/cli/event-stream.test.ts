import { expect, test } from 'vitest';
import { readEventStream } from './event-stream.ts';

async function eventsOf(...chunks: string[]) {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
  const events = [];
  for await (const event of readEventStream(body)) events.push(event);
  return events;
}

test('messages come whole, however the bytes were cut; comments and nameless fields are passed over', async () => {
  expect(
    await eventsOf(
      ': hello\n\nevent: ch',
      'ange\nid: 7\ndata: {"a":',
      '1}\ndata: x\n\ndata:last\n\ndata: unfinished',
    ),
  ).toEqual([
    { event: 'change', data: '{"a":1}\nx', id: '7' },
    { event: 'message', data: 'last', id: '7' },
  ]);
});
