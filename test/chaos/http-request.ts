import { type Agent, request } from 'node:http';

export interface RawResponse {
  /** 0: no answer, or one that broke off. */
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  /** Until the last byte. */
  ms: number;
  /** What went wrong where there is no status. */
  error?: string;
}

export interface RawRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  agent?: Agent;
}

/** One request by node:http, which follows no redirect, decodes nothing and costs little. Never rejects. */
export function sendRequest(
  url: string,
  { method = 'GET', headers = {}, body, agent }: RawRequest = {},
): Promise<RawResponse> {
  const began = performance.now();
  return new Promise((resolve) => {
    const none = (error: Error) =>
      resolve({
        status: 0,
        headers: {},
        body: Buffer.alloc(0),
        ms: performance.now() - began,
        error: error.message,
      });
    const sent = request(url, { method, headers, ...(agent && { agent }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', none);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          ms: performance.now() - began,
        }),
      );
    });
    sent.once('error', none);
    sent.setTimeout(20_000, () => sent.destroy(new Error('no answer in 20 s')));
    sent.end(body);
  });
}

/** The value that `share` of them do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** "3× 502, 1× ECONNRESET". */
export function countOccurrences(words: Iterable<string>): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count}× ${word}`).join(', ') || 'none';
}
