/** A store's URL cannot be used. The message names the variable and what is wrong, and holds no secret. */
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
  /** Empty when the URL names none. */
  hosts: StoreHost[];
  /** The segments after the hosts. */
  path: string[];
  query: URLSearchParams;
}

const SHAPE = /^([a-z+]+):\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/;

/**
 * Reads `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`, which `URL` does not: it knows one host.
 * Throws StoreUrlError.
 */
export function parseStoreUrl(
  variable: string,
  text: string,
  options: { port: number; parameters: readonly string[]; example: string },
): StoreUrl {
  const match = SHAPE.exec(text);
  // An @ behind the host is the end of a password that held / or ?: whatever came of it must not be told.
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
      `${variable}: the parameter ${JSON.stringify(name)} is not known; known: ${options.parameters.join(' ')}`,
    );
  }
  const colon = credentials?.indexOf(':') ?? -1;
  const username = decode((colon < 0 ? credentials : credentials?.slice(0, colon)) ?? '');
  const password = colon < 0 ? '' : decode(credentials?.slice(colon + 1) ?? '');
  return {
    scheme,
    ...(username && { username }),
    ...(password && { password }),
    hosts: hosts === '' ? [] : hosts.split(',').map((part) => readHost(variable, decode(part), options.port)),
    path: path.split('/').slice(1).map(decode),
    query: parameters,
  };
}

function readHost(variable: string, text: string, defaultPort: number): StoreHost {
  const match = /^(\[[^\]]+\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] ? Number(match[2]) : defaultPort;
  if (!match || port < 1 || port > 65_535) {
    throw new StoreUrlError(
      `${variable}: ${JSON.stringify(text)} is no host:port (an IPv6 address wants [])`,
    );
  }
  return { host: (match[1] || 'localhost').replace(/^\[|\]$/g, ''), port };
}
