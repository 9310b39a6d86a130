import { createParser, type EventSourceMessage } from 'eventsource-parser';

/** Reads server-sent events (WHATWG HTML §9.2) from a response body. Ends when the body ends. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* messages.splice(0);
  }
}
