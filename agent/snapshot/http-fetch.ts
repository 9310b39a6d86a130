import type { HttpFetch } from './publisher.ts';

/** A snapshot has at most 2 MB. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Does not follow redirects: a signed document goes only to the configured address. */
export const httpFetch: HttpFetch = async (url, { method, headers, body, signal }) => {
  const { request } = await import('undici');
  const response = await request(url, {
    method: method as 'PUT',
    signal,
    ...(headers ? { headers } : {}),
    ...(body ? { body } : {}),
  });
  return {
    status: response.statusCode,
    headers: {
      get(name) {
        const value = response.headers[name];
        return (Array.isArray(value) ? value[0] : value) ?? null;
      },
    },
    text: () => readText(response.body),
  };
};

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`the response has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
