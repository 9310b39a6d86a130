import { RECEIVER_TIMEOUT_MS } from './receiver.ts';

export interface HttpTarget {
  fetch: typeof globalThis.fetch;
  url: string;
  headers?: Readonly<Record<string, string>>;
  method?: 'POST' | 'PUT';
  timeoutMs?: number | undefined;
}

/** The receiver refused the message as it is: the same message fails again. */
export class RefusedError extends Error {
  override name = 'RefusedError';
}

/** Sends JSON. Any status but 2xx fails. So does a redirect: an alert goes only to the configured URL. */
export const sendJson = (target: HttpTarget, body: unknown): Promise<void> =>
  sendText(target, JSON.stringify(body));

export async function sendText(target: HttpTarget, body: string): Promise<void> {
  const { fetch, url, headers, method = 'POST', timeoutMs = RECEIVER_TIMEOUT_MS } = target;
  const response = await fetch(url, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  await response.body?.cancel();
  if (response.ok) return;
  const refused = [400, 413, 422].includes(response.status);
  throw new (refused ? RefusedError : Error)(`HTTP status ${response.status}`);
}

/** At most `limit` characters. */
export const clip = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
