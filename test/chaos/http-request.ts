import { type Agent, request } from 'node:http';

export interface RawResponse {
  /** 0: no response, or an incomplete one. */
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  /** Until the last byte. */
  ms: number;
  /** The error, when there is no status. */
  error?: string;
}

export interface RawRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  agent?: Agent;
}

/** Sends one request with node:http, which follows no redirects and decodes nothing. Never rejects. */
export function sendRequest(
  url: string,
  { method = 'GET', headers = {}, body, agent }: RawRequest = {},
): Promise<RawResponse> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const fail = (error: Error) =>
      resolve({
        status: 0,
        headers: {},
        body: Buffer.alloc(0),
        ms: performance.now() - startedAt,
        error: error.message,
      });
    const sent = request(url, { method, headers, ...(agent && { agent }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', fail);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          ms: performance.now() - startedAt,
        }),
      );
    });
    sent.once('error', fail);
    sent.setTimeout(20_000, () => sent.destroy(new Error('no response within 20 s')));
    sent.end(body);
  });
}

/** The smallest value that at least `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Formats counts as "3× 502, 1× ECONNRESET". */
export function countOccurrences(words: Iterable<string>): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count}× ${word}`).join(', ') || 'none';
}
