// Server-sent events over fetch, not EventSource: the token can be sent, and a silent connection noticed.

const SILENT_MS = 8_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * Keeps a stream open for ever: reconnects with growing pauses, and when nothing came for a while.
 * @param {string} path
 * @param {{ token: () => string | null, frame: (event: string, data: string) => void, lost: (why: string) => void }} to
 * @returns {{ reconnect: () => void }}
 */
export function follow(path, to) {
  let failures = 0;
  let wake = () => {};
  let current = new AbortController();
  const run = async () => {
    for (;;) {
      try {
        await read(path, to, current.signal, () => {
          failures = 0;
        });
        to.lost('the agent ended the stream');
      } catch (error) {
        to.lost(error instanceof Error ? error.message : String(error));
      }
      const pause = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
      await new Promise((resolve) => {
        wake = () => resolve(undefined);
        setTimeout(wake, pause);
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
      current.abort(new Error('asked to reconnect'));
      wake();
    },
  };
}

/**
 * @param {string} path
 * @param {{ token: () => string | null, frame: (event: string, data: string) => void }} to
 * @param {AbortSignal} signal
 * @param {() => void} alive
 */
async function read(path, to, signal, alive) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(new Error('no news for 8 s')), SILENT_MS);
  try {
    const token = to.token();
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
      timer = setTimeout(() => silence.abort(new Error('no news for 8 s')), SILENT_MS);
      rest += value;
      const messages = rest.split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) {
        const data = fieldOf(message, 'data');
        if (data === '') continue;
        alive();
        to.frame(fieldOf(message, 'event'), data);
      }
    }
  } finally {
    clearTimeout(timer);
    // Also what a frame that did not fit left open: a browser has six connections for a host, and the next takes one.
    silence.abort();
  }
}

/** @param {string} message @param {string} name */
function fieldOf(message, name) {
  const start = `${name}:`;
  const lines = message.split('\n').filter((line) => line.startsWith(start));
  return lines.map((line) => line.slice(start.length).trimStart()).join('\n');
}
