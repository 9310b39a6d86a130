const KEY = 'acgs-token';

/** The bearer token, kept in this tab's session storage. The content security policy keeps other scripts out. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  /** @param {string | null} value */
  set(value) {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  },
};

/** An error answer of the agent. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {unknown} error */
export const errorText = (error) => (error instanceof Error ? error.message : String(error));

/** @param {unknown} error */
export const isUnauthorized = (error) => error instanceof ApiError && error.status === 401;

/**
 * Calls the API and returns the parsed body.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {string | null} [bearer]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, bearer) {
  return (await callWithHeaders(method, path, body, bearer)).answer;
}

/**
 * Calls the API and returns the parsed body with the response headers.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {string | null} [bearer]
 * @returns {Promise<{ answer: any, headers: Headers }>}
 */
export async function callWithHeaders(method, path, body, bearer = token.get()) {
  const response = await send(path, {
    method,
    headers: {
      ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
    cache: 'no-store',
  });
  const text = await response.text();
  const answer = text ? parse(text) : null;
  if (response.ok) return { answer, headers: response.headers };
  const problem = [answer?.title, answer?.detail].filter(Boolean).join(': ');
  throw new ApiError(response.status, problem || `the agent answered ${response.status}`);
}

/** @param {string} path @param {RequestInit} init */
async function send(path, init) {
  try {
    return await fetch(path, init);
  } catch (cause) {
    throw new Error('the agent does not answer; try again in a moment', { cause });
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Guards against answers that arrive out of order: each call starts a request and returns a function that says whether
 * that request is still the latest.
 */
export function latestOnly() {
  let latest = 0;
  return () => {
    const mine = ++latest;
    return () => mine === latest;
  };
}
