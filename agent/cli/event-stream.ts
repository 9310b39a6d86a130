import { type EventSourceMessage, EventSourceParserStream } from 'eventsource-parser/stream';

/** Reads server-sent events (WHATWG HTML §9.2) from a response body. Ends when the body ends. */
export function readEventStream(body: ReadableStream<Uint8Array>): AsyncIterable<EventSourceMessage> {
  return body
    .pipeThrough<string>(new TextDecoderStream())
    .pipeThrough<EventSourceMessage>(new EventSourceParserStream());
}
