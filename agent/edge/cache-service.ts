/**
 * A Worker that is the cache of a self-hosted edge: workerd has none of its own. workerd sends it GET, PUT (the response as
 * an HTTP message) and PURGE. It keeps responses in memory, at most 64 MiB, and drops the least recently used ones first.
 * Plain JavaScript for workerd.
 */
export const CACHE_SERVICE = `
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 3 * 1024 * 1024;
const entries = new Map();
let storedBytes = 0;

export default {
  async fetch(request) {
    const key = request.cf?.cacheKey ?? request.url;
    switch (request.method) {
      case 'GET':
        return find(key);
      case 'PUT':
        return store(key, request);
      case 'PURGE':
        return new Response(null, { status: remove(key) ? 200 : 404 });
      default:
        return new Response(null, { status: 405 });
    }
  },
};

function find(key) {
  const entry = entries.get(key);
  if (entry && Date.now() >= entry.expiresAt) remove(key);
  if (!entry || !entries.has(key)) return new Response(null, { status: 504, headers: { 'cf-cache-status': 'MISS' } });
  entries.delete(key);
  entries.set(key, entry);
  const headers = new Headers(entry.headers);
  headers.set('cf-cache-status', 'HIT');
  return new Response(entry.body, { status: entry.status, headers });
}

async function store(key, request) {
  const message = await read(request.body);
  const entry = message && parse(message);
  if (!entry || entry.expiresAt <= Date.now()) return new Response(null, { status: 413 });
  remove(key);
  entries.set(key, entry);
  storedBytes += entry.bytes;
  for (const oldest of entries.keys()) {
    if (storedBytes <= MAX_BYTES) break;
    remove(oldest);
  }
  return new Response(null, { status: 204 });
}

function remove(key) {
  const entry = entries.get(key);
  if (entry) storedBytes -= entry.bytes;
  return entries.delete(key);
}

async function read(stream) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of stream ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_MESSAGE_BYTES) return null;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function parse(message) {
  const end = message.findIndex((_, at) =>
    message[at] === 13 && message[at + 1] === 10 && message[at + 2] === 13 && message[at + 3] === 10);
  if (end < 0) return null;
  const [statusLine, ...lines] = new TextDecoder().decode(message.subarray(0, end)).split('\\r\\n');
  const status = Number(/^HTTP\\/\\S+ (\\d{3})/.exec(statusLine)?.[1]);
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
    .filter(([name]) => name.toLowerCase() !== 'transfer-encoding');
  const control = headers.find(([name]) => name.toLowerCase() === 'cache-control')?.[1] ?? '';
  const seconds = Number(/(?:^|[,\\s])max-age=(\\d{1,10})/.exec(control)?.[1] ?? 0);
  const body = message.slice(end + 4);
  const length = headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1];
  // The instance died before the end of the body.
  if (length !== undefined && Number(length) !== body.byteLength) return null;
  return { status, headers, body, bytes: message.byteLength + 1024, expiresAt: Date.now() + seconds * 1000 };
}
`;
