import type { ApiScope } from '../../core/api-token.ts';

/** The right that a request needs. `any`: every valid token. */
export type RequiredScope =
  | { kind: 'any' }
  | { kind: 'read'; service?: string }
  | Exclude<ApiScope, { kind: 'read' }>;

const INSTANCE = '/v1/services/([^/]+)/instances/[^/]+';
const READ_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

type Rule = readonly [method: string, path: RegExp, scope: 'any' | 'register' | 'steer'];
/** Writes that need less than the scope `admin`. A path that no rule names needs `admin`. */
const RULES: readonly Rule[] = [
  ['POST', /^\/v1\/token$/, 'any'],
  ['POST', /^\/v1\/services\/([^/]+)\/instances$/, 'register'],
  ['DELETE', new RegExp(`^${INSTANCE}$`), 'register'],
  ['PUT', new RegExp(`^${INSTANCE}/heartbeat$`), 'register'],
  ['PUT', new RegExp(`^${INSTANCE}/(?:admin|weight)$`), 'steer'],
  ['POST', /^\/v1\/(?:publish|events)$/, 'steer'],
  ['POST', /^\/v1\/alerts\/(?:test|silences|[^/]+\/ack)$/, 'steer'],
  ['DELETE', /^\/v1\/alerts\/silences\/[^/]+$/, 'steer'],
  ['POST', /^\/v1\/sessions(?:\/[^/]+\/[^/]+)?$/, 'steer'],
  ['PUT', /^\/v1\/sessions\/[^/]+\/pins\/[^/]+$/, 'steer'],
];

/** `path` as the router matches it. A service id contains nothing that is encoded in a path. */
export function requiredScope(method: string, path: string): RequiredScope {
  if (READ_METHODS.has(method)) {
    const service = /^\/v1\/services\/([^/]+)(?:\/instances(?:\/[^/]+)?)?$/.exec(path)?.[1];
    return service === undefined ? { kind: 'read' } : { kind: 'read', service };
  }
  for (const [ruleMethod, pattern, scope] of RULES) {
    const match = ruleMethod === method ? pattern.exec(path) : null;
    if (match) return scope === 'register' ? { kind: scope, service: match[1] ?? '' } : { kind: scope };
  }
  return { kind: 'admin' };
}

export function isAllowed(granted: ApiScope, required: RequiredScope): boolean {
  if (required.kind === 'any') return true;
  switch (granted.kind) {
    case 'admin':
      return true;
    case 'read':
      return required.kind === 'read';
    case 'steer':
      return required.kind === 'read' || required.kind === 'steer';
    case 'register':
      return (
        (required.kind === 'read' || required.kind === 'register') && required.service === granted.service
      );
  }
}

/** The name of a scope in messages and in ACGS_TOKENS. */
export const scopeName = (scope: RequiredScope): string =>
  scope.kind === 'register' ? `register/${scope.service}` : scope.kind;
