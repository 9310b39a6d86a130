import { ID_PATTERN } from '../../shared/config/scalars.ts';

/** What a token may do with the API. */
export type ApiScope =
  /** Reads everything under /v1. */
  | { kind: 'read' }
  /** Registers, renews and deregisters instances of one service, and reads that service. */
  | { kind: 'register'; service: string }
  /** Reads, sets admin states and weights, publishes, and handles alerts and sessions. */
  | { kind: 'steer' }
  /** Everything, including the configuration. */
  | { kind: 'admin' };

export interface ApiToken {
  /** Recorded as the author of every change that is made with the token. */
  name: string;
  scope: ApiScope;
  secret: string;
}

/** The name of ACGS_TOKEN. */
export const ADMIN_TOKEN_NAME = 'admin';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
/** RFC 6750 §2.1, without the characters that separate entries. */
const SECRET = /^[A-Za-z0-9._~+/=-]{16,512}$/;

/**
 * Parses `<name>:<scope>:<secret>[,…]`, the value of ACGS_TOKENS. A scope is `read`, `steer`, `admin` or
 * `register/<service>`. Throws an Error that lists every problem and contains no secret.
 */
export function parseApiTokens(variable: string, value: string): ApiToken[] {
  const problems: string[] = [];
  const tokens: ApiToken[] = [];
  for (const [index, entry] of value.split(',').entries()) {
    const [name = '', scopeText = '', ...rest] = entry.trim().split(':');
    const where = NAME.test(name) ? `${variable}: the token ${name}` : `${variable}: entry ${index + 1}`;
    const scope = parseScope(scopeText);
    const problem = problemOf({ name, scope, secret: rest.join(':') }, tokens);
    if (problem) problems.push(`${where} ${problem}`);
    if (scope) tokens.push({ name, scope, secret: rest.join(':') });
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return tokens;
}

function problemOf(
  { name, scope, secret }: { name: string; scope: ApiScope | null; secret: string },
  before: readonly ApiToken[],
): string | null {
  if (!NAME.test(name)) return 'needs the form <name>:<scope>:<secret>';
  if (name === ADMIN_TOKEN_NAME) return 'has the name of ACGS_TOKEN; choose another name';
  if (before.some((other) => other.name === name)) return 'is listed twice';
  if (!scope) return 'has no valid scope; expected read, steer, admin or register/<service>';
  if (!SECRET.test(secret)) return 'needs a secret of 16 to 512 characters out of A-Z a-z 0-9 . _ ~ + / = -';
  const same = before.find((other) => other.secret === secret);
  return same ? `has the secret of the token ${same.name}` : null;
}

function parseScope(text: string): ApiScope | null {
  if (text === 'read' || text === 'steer' || text === 'admin') return { kind: text };
  const service = /^register\/(.+)$/.exec(text)?.[1];
  return service !== undefined && ID_PATTERN.test(service) ? { kind: 'register', service } : null;
}
