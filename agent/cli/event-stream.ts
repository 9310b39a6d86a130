/** One message of a `text/event-stream`. */
export interface EventStreamMessage {
  event: string;
  data: string;
  id: string | null;
}

/** Reads server-sent events (WHATWG HTML §9.2) from a body; ends when the body does. */
export async function* readEventStream(body: ReadableStream<Uint8Array>): AsyncGenerator<EventStreamMessage> {
  let rest = '';
  let message = { event: '', data: [] as string[], id: null as string | null };
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    rest += chunk;
    const lines = rest.split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (message.data.length > 0) {
          yield { event: message.event || 'message', data: message.data.join('\n'), id: message.id };
        }
        message = { event: '', data: [], id: message.id };
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') message.event = value;
      else if (field === 'data') message.data.push(value);
      else if (field === 'id') message.id = value;
    }
  }
}
