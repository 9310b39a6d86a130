import { request } from 'undici';
import type { HttpFetch } from './publisher.ts';

/** Redirects are not followed: a signed document goes to the configured place or nowhere. */
export const httpFetch: HttpFetch = async (url, { method, headers, body, signal }) => {
  const answer = await request(url, {
    method: method as 'PUT',
    signal,
    ...(headers ? { headers } : {}),
    ...(body ? { body } : {}),
  });
  return {
    status: answer.statusCode,
    headers: {
      get(name) {
        const value = answer.headers[name];
        return (Array.isArray(value) ? value[0] : value) ?? null;
      },
    },
    text: () => answer.body.text(),
  };
};
