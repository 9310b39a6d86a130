import { keywordOf, type Section, type Statement } from './sections.ts';
import { wordTable } from './word-table.ts';

/** A frontend, backend or listen section with the `defaults` section that applies to it. */
export interface ProxySection {
  section: Section;
  name: string;
  defaults: DefaultsSection | null;
  mode: string;
}

/** A `defaults` section. Its body starts with the statements of the section that it names after `from`. */
export interface DefaultsSection extends Section {
  parent: DefaultsSection | null;
}

const withParent = (section: Section, parent: DefaultsSection | null): DefaultsSection => ({
  ...section,
  body: [...(parent?.body ?? []), ...section.body],
  parent,
});

const PROXY_KINDS = new Set(['frontend', 'backend', 'listen']);

export function proxiesOf(sections: readonly Section[]): ProxySection[] {
  let latest: DefaultsSection | null = null;
  const named = new Map<string, DefaultsSection>();
  const proxies: ProxySection[] = [];
  for (const section of sections) {
    if (section.kind === 'defaults') {
      latest = withParent(section, named.get(section.from ?? '') ?? null);
      named.set(section.name, latest);
    }
    if (!PROXY_KINDS.has(section.kind)) continue;
    const defaults = section.from === null ? latest : (named.get(section.from) ?? null);
    proxies.push({ section, name: section.name, defaults, mode: modeOf(section, defaults) });
  }
  return proxies;
}

/** HAProxy's own default is tcp. */
const modeOf = (section: Section, defaults: Section | null): string =>
  lastOf(section.body, 'mode')?.words[1] ?? lastOf(defaults?.body ?? [], 'mode')?.words[1] ?? 'tcp';

export const lastOf = (statements: readonly Statement[], keyword: string): Statement | undefined =>
  statements.findLast((statement) => keywordOf(statement) === keyword);

/** The proxy's own statement, or the one of its defaults. */
export const effective = ({ section, defaults }: ProxySection, keyword: string): Statement | undefined =>
  lastOf(section.body, keyword) ?? lastOf(defaults?.body ?? [], keyword);

const FRONTEND_KEYWORDS = new Set([
  'bind',
  'capture',
  'default_backend',
  'id',
  'maxconn',
  'monitor-net',
  'monitor-uri',
  'monitor',
  'timeout client',
  'timeout client-fin',
  'timeout http-keep-alive',
  'timeout http-request',
  'unique-id-format',
  'unique-id-header',
  'use_backend',
  'log-format',
  'log',
  'option httplog',
  'option dontlognull',
  'option logasap',
  'option dontlog-normal',
]);

/** In a listen section, the statements about clients; all others are about servers. */
export const isFrontendStatement = (statement: Statement): boolean => {
  const keyword = keywordOf(statement);
  return (
    FRONTEND_KEYWORDS.has(keyword) || /^tcp-request (?:connection|session)/.test(statement.words.join(' '))
  );
};

/** A listen section with servers only, which is a frontend and a backend of the same name. */
export const isPlainListen = ({ section: { kind, body } }: ProxySection): boolean =>
  kind === 'listen' &&
  body.some(({ words }) => words[0] === 'server') &&
  !body.some((statement) => ['use_backend', 'default_backend'].includes(keywordOf(statement)));

/** Keywords that HAProxy 2.6 no longer knows, with their replacements; `modern.ts` translates simple lines. */
export const OBSOLETE = wordTable<string>({
  appsession: 'cookie, or stick on',
  'bind-process': 'nothing',
  nbproc: 'nbthread',
  'option forceclose': 'option httpclose',
  'option http-tunnel': 'nothing',
  'option http-use-htx': 'nothing',
  reqadd: 'http-request add-header',
  reqallow: 'http-request allow',
  reqdel: 'http-request del-header',
  reqdeny: 'http-request deny',
  reqiallow: 'http-request allow',
  reqidel: 'http-request del-header',
  reqideny: 'http-request deny',
  reqirep: 'http-request replace-header or replace-path',
  reqpass: 'http-request allow',
  reqrep: 'http-request replace-header or replace-path',
  reqtarpit: 'http-request tarpit',
  rspadd: 'http-response add-header',
  rspdel: 'http-response del-header',
  rspdeny: 'http-response deny',
  rspidel: 'http-response del-header',
  rspirep: 'http-response replace-header',
  rsprep: 'http-response replace-header',
});

/** Why HAProxy 2.6 rejects a statement; null if it may accept it. */
export function obsoleteReason(statement: Statement): string | null {
  const { problem, lines } = statement;
  if (problem !== null) return lines > 1 ? problem : `HAProxy rejects the line: ${problem}`;
  const replacement = OBSOLETE[keywordOf(statement)];
  if (replacement === undefined) return null;
  return replacement === 'nothing'
    ? 'HAProxy no longer knows it and does not need it'
    : `HAProxy no longer knows it; use ${replacement}`;
}
