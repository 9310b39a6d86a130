import { open } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';

const EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;

/** Calls `onLine` with each line that is appended to the file, which need not exist yet. Returns a function that stops. */
export function followLog(file: string, onLine: (line: string) => void): () => void {
  let position = 0;
  let rest = '';
  let isReading = false;
  async function read(): Promise<void> {
    await using handle = await open(file, 'r');
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    }
  }
  const timer = setInterval(() => {
    if (isReading) return;
    isReading = true;
    void read()
      // The file may not exist yet.
      .catch(() => {})
      .finally(() => {
        isReading = false;
      });
  }, EVERY_MS);
  return () => clearInterval(timer);
}

/** wrangler's table of bindings, its requests and the placeholder for `request.cf`, which needs a network. */
const NOISE =
  /^(?:\[wrangler:info\] (?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) |\[wrangler:warn\] Unable to fetch the `Request\.cf`|Error: getaddrinfo |\s+at GetAddrInfoReqWrap|env\.\w+ |Binding\s+Resource|Your Worker has access|─+$|\s*⛅)/u;

/** The line without control characters; null for an empty line and noise. */
export function developerLine(line: string): string | null {
  const text = stripVTControlCharacters(line).trimEnd();
  return text === '' || NOISE.test(text) ? null : text;
}
