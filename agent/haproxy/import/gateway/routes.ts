import { pathPrefix } from '../../../../shared/config/scalars.ts';
import { keywordOf, type Statement } from '../file/sections.ts';

/** Prefixes and hosts of one service; without hosts it serves every host. */
export interface ServiceRoutes {
  hosts: string[];
  routes: string[];
}

export interface RouteTable {
  byService: Map<string, ServiceRoutes>;
  /** The statements that the routes replace. */
  statements: Statement[];
}

/** One `use_backend` or the `default_backend`. Empty hosts: every host. */
interface BackendRule {
  backend: string;
  hosts: string[];
  prefixes: string[];
}

/**
 * The routes that send every request to the same service as the frontend's rules do; null when routes cannot do that.
 * HAProxy takes the first rule that matches, acgs-lb takes the longest prefix.
 */
export function readRoutes(
  statements: readonly Statement[],
  services: ReadonlySet<string>,
): RouteTable | null {
  const conditions = aclsOf(statements);
  const rules: BackendRule[] = [];
  const used: Statement[] = [];
  const names = new Set<string>();
  for (const statement of statements.filter((each) => keywordOf(each) === 'use_backend')) {
    const rule = readRule(statement, conditions, names);
    if (!rule) return null;
    rules.push(...rule);
    used.push(statement);
  }
  const fallback = statements.findLast((each) => keywordOf(each) === 'default_backend');
  if (fallback) {
    rules.push({ backend: fallback.words[1] ?? '', hosts: [], prefixes: ['/'] });
    used.push(fallback);
  }
  if (rules.length === 0 || rules.some(({ backend }) => !services.has(backend))) return null;
  const byService = mergeRules(rules);
  if (!isEquivalent(rules, byService)) return null;
  const acls = statements.filter(({ words }) => words[0] === 'acl' && names.has(words[1] ?? ''));
  return { byService, statements: [...used, ...acls.filter((acl) => !isNeeded(acl, statements, used))] };
}

type RouteCondition = { kind: 'host' | 'prefix'; values: string[] };

/** The ACLs that compare the host or the beginning of the path; null for an ACL with any other test. */
function aclsOf(statements: readonly Statement[]): Map<string, RouteCondition | null> {
  const acls = new Map<string, RouteCondition | null>();
  for (const { words, usesEnvironment } of statements.filter(({ words: [first] }) => first === 'acl')) {
    const [, name = '', ...test] = words;
    const condition = usesEnvironment ? null : readTest(test);
    const before = acls.get(name);
    if (before === undefined) acls.set(name, condition);
    else if (before === null || condition?.kind !== before.kind) acls.set(name, null);
    else before.values.push(...condition.values);
  }
  return acls;
}

const HOST_TESTS = new Set([
  'hdr(host)',
  'req.hdr(host)',
  'hdr(host),lower',
  'req.hdr(host),lower',
  'req.hdr(host),field(1,:)',
  'hdr(host),field(1,:)',
  'req.hdr(host),host_only',
]);
const PREFIX_TESTS = new Set(['path_beg', 'url_beg']);

interface AclTest {
  fetched: string;
  /** The value of `-m`, or the default of the fetched sample. */
  matches: string;
  ignoresCase: boolean;
  values: string[];
}

/** Null for a test with other flags, such as `-f` for a file. */
function parseTest([name = '', ...words]: readonly string[]): AclTest | null {
  const fetched = name.toLowerCase();
  const test: AclTest = {
    fetched,
    matches: PREFIX_TESTS.has(fetched) ? 'beg' : 'str',
    ignoresCase: false,
    values: [],
  };
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '-m') test.matches = words[++at] ?? '';
    else if (word === '-i') test.ignoresCase = true;
    else if (word.startsWith('-') && test.values.length === 0) return null;
    else test.values.push(word);
  }
  return test.values.length > 0 ? test : null;
}

function readTest(words: readonly string[]): RouteCondition | null {
  const test = parseTest(words);
  if (!test) return null;
  const { fetched, matches, ignoresCase, values } = test;
  if (HOST_TESTS.has(fetched)) return matches === 'str' ? hostCondition(values) : null;
  // Paths are case-sensitive.
  const isPrefix = (PREFIX_TESTS.has(fetched) || fetched === 'path') && matches === 'beg' && !ignoresCase;
  return isPrefix ? prefixCondition(values) : null;
}

function hostCondition(values: readonly string[]): RouteCondition | null {
  const hosts = values.map((value) => value.toLowerCase());
  return hosts.every((host) => /^[a-z0-9.-]+$/.test(host)) ? { kind: 'host', values: hosts } : null;
}

function prefixCondition(values: readonly string[]): RouteCondition | null {
  const prefixes = values.map((value) => (value === '/' ? '/' : value.replace(/\/$/, '')));
  return prefixes.every((prefix) => pathPrefix.safeParse(prefix).success)
    ? { kind: 'prefix', values: prefixes }
    : null;
}

/** The alternatives of one `use_backend`; null when a condition has no equivalent. */
function readRule(
  { words, usesEnvironment }: Statement,
  acls: ReadonlyMap<string, RouteCondition | null>,
  names: Set<string>,
): BackendRule[] | null {
  const [, backend = '', keyword, ...condition] = words;
  if (usesEnvironment || backend.includes('%')) return null;
  if (keyword === undefined) return [{ backend, hosts: [], prefixes: ['/'] }];
  if (keyword !== 'if') return null;
  const rules: BackendRule[] = [];
  for (const terms of splitAlternatives(condition)) {
    const rule = readTerms(terms, acls, names);
    if (!rule) return null;
    rules.push({ backend, ...rule });
  }
  return rules;
}

function splitAlternatives(words: readonly string[]): string[][] {
  const alternatives: string[][] = [[]];
  for (const word of words) {
    if (word === 'or' || word === '||' || word === 'OR') alternatives.push([]);
    else alternatives.at(-1)?.push(word);
  }
  return alternatives;
}

function readTerms(
  terms: readonly string[],
  acls: ReadonlyMap<string, RouteCondition | null>,
  names: Set<string>,
): Omit<BackendRule, 'backend'> | null {
  const found: Partial<Record<RouteCondition['kind'], string[]>> = {};
  for (const condition of conditionsOf(terms, acls, names)) {
    if (!condition || found[condition.kind]) return null;
    found[condition.kind] = condition.values;
  }
  if (!found.host && !found.prefix) return null;
  return { hosts: found.host ?? [], prefixes: found.prefix ?? ['/'] };
}

/** Names of ACLs, and anonymous ones in braces. */
function conditionsOf(
  terms: readonly string[],
  acls: ReadonlyMap<string, RouteCondition | null>,
  names: Set<string>,
): (RouteCondition | null)[] {
  const conditions: (RouteCondition | null)[] = [];
  for (let at = 0; at < terms.length; at++) {
    const term = terms[at] ?? '';
    if (term !== '{') {
      names.add(term);
      conditions.push(acls.get(term) ?? null);
      continue;
    }
    const end = terms.indexOf('}', at);
    conditions.push(end < 0 ? null : readTest(terms.slice(at + 1, end)));
    if (end < 0) break;
    at = end;
  }
  return conditions;
}

/** One list of hosts and one of prefixes per service. `isEquivalent` finds what this cannot express. */
function mergeRules(rules: readonly BackendRule[]): Map<string, ServiceRoutes> {
  const merged = new Map<string, ServiceRoutes>();
  for (const { backend, hosts, prefixes } of rules) {
    const routes = merged.get(backend);
    merged.set(backend, {
      // A rule for every host replaces those for some hosts.
      hosts:
        routes && (routes.hosts.length === 0 || hosts.length === 0)
          ? []
          : [...new Set([...(routes?.hosts ?? []), ...hosts])],
      routes: [...new Set([...(routes?.routes ?? []), ...prefixes])],
    });
  }
  return merged;
}

/** Larger rule sets are not compared, so that the import stays quick. */
const MAX_COMPARISONS = 2_000_000;

function isEquivalent(rules: readonly BackendRule[], services: ReadonlyMap<string, ServiceRoutes>): boolean {
  const hosts = ['other.invalid', ...new Set(rules.flatMap((rule) => rule.hosts))];
  const prefixes = [...new Set(['/', ...rules.flatMap((rule) => rule.prefixes)])];
  if (hosts.length * prefixes.length * rules.length > MAX_COMPARISONS) return false;
  const routes = [...services].flatMap(([service, own]) =>
    own.routes.map((prefix) => ({ service, prefix, hosts: own.hosts })),
  );
  const keys = routes.flatMap(({ prefix, hosts: own }) =>
    own.length === 0 ? [`* ${prefix}`] : own.map((host) => `${host} ${prefix}`),
  );
  if (new Set(keys).size < keys.length) return false;
  return hosts.every((host) =>
    prefixes.every((prefix) => {
      const first = rules.find(
        (rule) => appliesTo(rule.hosts, host) && rule.prefixes.some((each) => covers(each, prefix)),
      );
      return (first?.backend ?? null) === longestRoute(routes, host, prefix);
    }),
  );
}

interface ExpandedRoute {
  service: string;
  prefix: string;
  hosts: string[];
}

/** Like the gateway's map: the longest prefix wins; at equal length the route of the host wins. */
function longestRoute(routes: readonly ExpandedRoute[], host: string, path: string): string | null {
  let best: ExpandedRoute | null = null;
  for (const route of routes) {
    if (!appliesTo(route.hosts, host) || !covers(route.prefix, path)) continue;
    const longer = route.prefix.length - (best?.prefix.length ?? -1);
    if (longer > 0 || (longer === 0 && route.hosts.length > 0)) best = route;
  }
  return best?.service ?? null;
}

const appliesTo = (hosts: readonly string[], host: string): boolean =>
  hosts.length === 0 || hosts.includes(host);

const covers = (prefix: string, path: string): boolean =>
  prefix === '/' || path === prefix || path.startsWith(`${prefix}/`);

/** Whether a statement that stays uses the ACL. */
function isNeeded(acl: Statement, statements: readonly Statement[], replaced: readonly Statement[]): boolean {
  const name = acl.words[1] ?? '';
  return statements.some(
    (each) => each.words[0] !== 'acl' && !replaced.includes(each) && each.text.split(/[\s!]+/).includes(name),
  );
}
