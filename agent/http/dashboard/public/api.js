const KEY = 'acgs-token';

/** Kept for this tab only; nothing else on the page can be made to read it (see the page's security policy). */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  /** @param {string | null} value */
  set(value) {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  },
};

export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {string | null} [bearer]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, bearer) {
  return (await ask(method, path, body, bearer)).answer;
}

/**
 * The same, with the answer's headers.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {string | null} [bearer]
 * @returns {Promise<{ answer: any, headers: Headers }>}
 */
export async function ask(method, path, body, bearer = token.get()) {
  const response = await reach(path, {
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
  const said = [answer?.title, answer?.detail].filter(Boolean).join(': ');
  throw new ApiError(response.status, said || `the agent answered ${response.status}`);
}

/** @param {string} path @param {RequestInit} init */
async function reach(path, init) {
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
 * For questions of one kind asked one after another: `begin()` at each, what it returns says whether no newer one was
 * begun since. An answer to an older one comes too late to be shown.
 */
export function newestOnly() {
  let newest = 0;
  return () => {
    const mine = ++newest;
    return () => mine === newest;
  };
}
