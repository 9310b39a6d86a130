import type { HttpFetch } from './publisher.ts';

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
    text: () => response.body.text(),
  };
};
