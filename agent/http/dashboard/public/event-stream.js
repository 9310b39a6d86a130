// Server-sent events over fetch: EventSource cannot send the token and does not detect a silent connection.

const SILENCE_TIMEOUT_MS = 8_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * @typedef {object} StreamHandlers
 * @property {() => string | null} token
 * @property {(event: string, data: string) => void} onEvent
 * @property {(why: string) => void} onDisconnect
 */

/**
 * Keeps a stream open: reconnects with backoff, also when nothing arrives for a while.
 * @param {string} path
 * @param {StreamHandlers} handlers
 * @returns {{ reconnect: () => void }}
 */
export function followEventStream(path, handlers) {
  let failures = 0;
  let wake = () => {};
  let current = new AbortController();
  const run = async () => {
    for (;;) {
      try {
        await read(path, handlers, current.signal, () => {
          failures = 0;
        });
        handlers.onDisconnect('the agent ended the stream');
      } catch (error) {
        handlers.onDisconnect(error instanceof Error ? error.message : String(error));
      }
      const delay = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
      await new Promise((resolve) => {
        wake = () => resolve(undefined);
        setTimeout(wake, delay);
      });
      current = new AbortController();
    }
  };
  void run();
  addEventListener('online', () => wake());
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && wake());
  return {
    reconnect() {
      failures = 0;
      current.abort(new Error('reconnecting'));
      wake();
    },
  };
}

/**
 * @param {string} path
 * @param {StreamHandlers} handlers
 * @param {AbortSignal} signal
 * @param {() => void} onData
 */
async function read(path, handlers, signal, onData) {
  const silence = new AbortController();
  const startTimer = () => setTimeout(() => silence.abort(new Error('no data for 8 s')), SILENCE_TIMEOUT_MS);
  let timer = startTimer();
  try {
    const token = handlers.token();
    const response = await fetch(path, {
      headers: { accept: 'text/event-stream', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      signal: AbortSignal.any([signal, silence.signal]),
      cache: 'no-store',
    });
    if (!response.ok || !response.body) throw new Error(`the agent answered ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = startTimer();
      rest += value;
      const messages = rest.split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) {
        const data = fieldOf(message, 'data');
        if (data === '') continue;
        onData();
        handlers.onEvent(fieldOf(message, 'event'), data);
      }
    }
  } finally {
    clearTimeout(timer);
    // Closes the connection also when a handler threw: a browser allows only six per host.
    silence.abort();
  }
}

/** @param {string} message @param {string} name */
function fieldOf(message, name) {
  const start = `${name}:`;
  const lines = message.split('\n').filter((line) => line.startsWith(start));
  return lines.map((line) => line.slice(start.length).trimStart()).join('\n');
}
