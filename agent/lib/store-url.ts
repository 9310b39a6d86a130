/** The URL of a store is invalid. The message names the variable and the error, and contains no secret. */
export class StoreUrlError extends Error {
  override name = 'StoreUrlError';
}

export interface StoreHost {
  host: string;
  port: number;
}

export interface StoreUrl {
  scheme: string;
  username?: string;
  password?: string;
  /** Empty if the URL has no host. */
  hosts: StoreHost[];
  /** The segments of the path. */
  path: string[];
  query: URLSearchParams;
}

const STORE_URL = /^([a-z+]+):\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/;

/**
 * Parses `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`. `URL` accepts only one host. Throws
 * StoreUrlError.
 */
export function parseStoreUrl(
  variable: string,
  text: string,
  options: { port: number; parameters: readonly string[]; example: string },
): StoreUrl {
  const match = STORE_URL.exec(text);
  // An @ after the host ends a password that contains / or ?, so no parsed part may appear in the message.
  if (!match || /@/.test(`${match[4] ?? ''}${match[5] ?? ''}`)) {
    throw new StoreUrlError(
      `${variable}: expected ${options.example} (write @ / ? # in a password as %40 %2F %3F %23)`,
    );
  }
  const [, scheme = '', credentials, hosts = '', path = '', query = ''] = match;
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw new StoreUrlError(`${variable}: a % must be written as %25`);
    }
  };
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (options.parameters.includes(name)) continue;
    throw new StoreUrlError(
      `${variable}: the parameter ${JSON.stringify(name)} is unknown; expected one of: ${options.parameters.join(' ')}`,
    );
  }
  const colon = credentials?.indexOf(':') ?? -1;
  const username = decode((colon < 0 ? credentials : credentials?.slice(0, colon)) ?? '');
  const password = colon < 0 ? '' : decode(credentials?.slice(colon + 1) ?? '');
  return {
    scheme,
    ...(username && { username }),
    ...(password && { password }),
    hosts:
      hosts === '' ? [] : hosts.split(',').map((part) => parseHost(variable, decode(part), options.port)),
    path: path.split('/').slice(1).map(decode),
    query: parameters,
  };
}

function parseHost(variable: string, text: string, defaultPort: number): StoreHost {
  const match = /^(\[[^\]]+\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] ? Number(match[2]) : defaultPort;
  if (!match || port < 1 || port > 65_535) {
    throw new StoreUrlError(
      `${variable}: ${JSON.stringify(text)} is not host:port (write an IPv6 address in [])`,
    );
  }
  return { host: (match[1] || 'localhost').replace(/^\[|\]$/g, ''), port };
}
