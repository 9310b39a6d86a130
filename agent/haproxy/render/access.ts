import type { AccessRuleConfig } from '../../../shared/config/config.ts';
import { rulePrefixes } from '../../../shared/path.ts';
import { quoteBytes } from './quoting.ts';

/** A `%` that starts no escape becomes an escaped one, because `url_dec` fails on it. */
const LENIENT = `regsub("%(?![0-9a-fA-F]{2})","%25",g)`;

/** Conditions for invalid escapes, NUL and dot segments, raw or encoded: they could bypass rules that match the path. */
export const PATH_FAULTS: readonly string[] = [
  '{ var(txn.path) -m sub % } !{ var(txn.path),url_dec -m found }',
  '{ var(txn.path) -m sub %00 %2500 }',
  `{ var(txn.path) -m sub . % } { 'var(txn.path),url_dec,${LENIENT},url_dec' -m reg '(^|[/\\\\])\\.\\.?([/\\\\;]|$)' }`,
];

/** Rejects such paths in a backend without our frontend. */
export const PATH_CHECKS: readonly string[] = [
  'http-request set-var(txn.path) path',
  ...PATH_FAULTS.map((fault) => `http-request deny deny_status 400 if ${fault}`),
];

/**
 * Access rules match the path as an instance may read it: decoded twice, as some servers do, `\` as `/`, without `;x`
 * parameters, what follows a control byte or a decoded `?` or `#`, and trailing blanks, with merged slashes, in lower
 * case. A path with a rule is closed to an unknown client, which an edge without a key sends while it has no snapshot:
 * the address would be that of the edge. The frontend rejects paths with dot segments or invalid escapes. `pathReadings` is the same rule at the edge.
 */
export function accessLines(rules: readonly AccessRuleConfig[]): string[] {
  if (rules.length === 0) return [];
  return [
    'http-request set-var(txn.plain) path,lower,concat(/)',
    `http-request set-var(txn.plain) 'path,url_dec,${LENIENT},url_dec,regsub(" *([;?#\\x01-\\x1f\\x7f][^/]*)?([/\\x5c]|$)",/,g),regsub("/+",/,g),lower,concat(/)' if !{ var(txn.ordinary) -m bool } { path -m sub % ; // '\\' }`,
    ...rules.flatMap((rule) => {
      const prefixes = rulePrefixes(rule.path).map((path) => (path === '/' ? '/' : `${path}/`));
      const here = `{ var(txn.plain) -m beg ${prefixes.map((prefix) => quoteBytes(Buffer.from(prefix, 'latin1'))).join(' ')} }`;
      return [
        `http-request deny deny_status 403 if { var(txn.unknown_client) -m bool } ${here}`,
        ...chunks(rule.deny ?? []).map(
          (networks) => `http-request deny deny_status 403 if ${here} { src ${networks} }`,
        ),
        ...(rule.allow ? [denyOthers(here, rule.allow)] : []),
      ];
    }),
  ];
}

/** HAProxy limits the words of a line, so a long list of networks becomes several conditions. */
const denyOthers = (here: string, networks: readonly string[]): string =>
  `http-request deny deny_status 403 if ${here} ${chunks(networks)
    .map((chunk) => `!{ src ${chunk} }`)
    .join(' ')}`;

function chunks(networks: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < networks.length; at += 16) lines.push(networks.slice(at, at + 16).join(' '));
  return lines;
}
