import { compileNetworks, type NetworkMatcher } from './address.ts';
import { coversReading, pathReadings, rulePrefixes } from './path.ts';
import type { SnapshotAccessRule } from './snapshot/snapshot.ts';

export type AccessCheck = (
  path: string,
  address: string,
) => { allowed: true } | { allowed: false; rule: string };

const ALLOWED = { allowed: true } as const;

/**
 * A request is allowed when every rule that covers its path allows the address: `deny` does not contain it, and `allow`,
 * if present, does. A rule covers a path in every spelling that an instance may read as one below the rule's path.
 */
export function compileAccess(rules: readonly SnapshotAccessRule[]): AccessCheck {
  if (rules.length === 0) return () => ALLOWED;
  const compiled = rules.map((rule) => ({
    path: rule.path,
    prefixes: rulePrefixes(rule.path),
    allow: rule.allow ? compileNetworks(rule.allow) : null,
    deny: rule.deny ? compileNetworks(rule.deny) : null,
  }));
  return (rawPath, address) => {
    const readings = pathReadings(rawPath);
    for (const rule of compiled) {
      if (coversReading(rule.prefixes, readings) && !passes(rule, address))
        return { allowed: false, rule: rule.path };
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
