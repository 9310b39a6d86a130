import { compileNetworks, type NetworkMatcher } from './address.ts';
import { coversPath, normalizePath } from './path.ts';
import type { SnapshotAccessRule } from './snapshot/snapshot.ts';

export type AccessCheck = (
  path: string,
  address: string,
) => { allowed: true } | { allowed: false; rule: string };

const ALLOWED = { allowed: true } as const;

/**
 * A request is allowed when every rule that covers its path allows the address: `deny` does not contain it, and `allow`,
 * if present, does. Paths compare in lower case, because some instances treat /ADMIN as /admin.
 */
export function compileAccess(rules: readonly SnapshotAccessRule[]): AccessCheck {
  if (rules.length === 0) return () => ALLOWED;
  const compiled = rules.map((rule) => ({
    path: rule.path.toLowerCase(),
    allow: rule.allow ? compileNetworks(rule.allow) : null,
    deny: rule.deny ? compileNetworks(rule.deny) : null,
  }));
  return (rawPath, address) => {
    const path = normalizePath(rawPath).toLowerCase();
    for (const rule of compiled) {
      if (coversPath(rule.path, path) && !passes(rule, address)) return { allowed: false, rule: rule.path };
    }
    return ALLOWED;
  };
}

function passes(
  rule: { allow: NetworkMatcher | null; deny: NetworkMatcher | null },
  address: string,
): boolean {
  if (rule.deny?.(address)) return false;
  return rule.allow ? rule.allow(address) : true;
}
