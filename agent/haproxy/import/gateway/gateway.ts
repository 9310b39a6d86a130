import { obsoleteReason, type ProxySection } from '../file/proxies.ts';
import type { ImportReport } from '../file/report.ts';
import { keywordOf, type Statement } from '../file/sections.ts';
import { toHostPort } from '../file/values.ts';
import { wordTable } from '../file/word-table.ts';
import { COVERED, type ExtraStatement, forwardedReason } from '../services/service.ts';
import type { RouteTable } from './routes.ts';

/** The frontend that becomes the gateway. */
export interface GatewayDraft {
  bind: string[];
  tls: { crt: string; bind: string[]; redirect: boolean; http2: boolean } | null;
  extra: ExtraStatement[];
  /** Error pages. In `haproxy.extra.defaults`, they apply to errors of the services as well. */
  errorPages: ExtraStatement[];
}

export interface GatewayFrontend {
  proxy: ProxySection;
  /** The client's part of the section. */
  statements: readonly Statement[];
}

/** Frontends that only redirect to https: the gateway can take over their addresses. */
export const isRedirectOnly = (statements: readonly Statement[]): boolean =>
  statements.some(isTlsRedirect) &&
  statements.every(
    (statement) =>
      isTlsRedirect(statement) || keywordOf(statement) === 'bind' || keywordOf(statement) in COVERED,
  );

const TLS_REDIRECT =
  /^(?:http-request )?redirect scheme https(?: code 30[1278])?(?: (?:if !\{ ssl_fc \}|unless \{ ssl_fc \}))?$/;

function isTlsRedirect({ words }: Statement): boolean {
  return TLS_REDIRECT.test(words.join(' '));
}

/** Reads the gateway's frontend. `routes` null: its `use_backend` rules stay as they are. */
export function readGateway(
  main: GatewayFrontend,
  redirects: readonly GatewayFrontend[],
  { routes, report }: { routes: RouteTable | null; report: ImportReport },
): GatewayDraft {
  const draft: GatewayDraft = { bind: [], tls: null, extra: [], errorPages: [] };
  const all = [...main.statements, ...redirects.flatMap(({ statements }) => statements)];
  readBinds(all, draft, report);
  readRedirects(main, redirects, { draft, report });
  for (const statement of routes?.statements ?? [])
    report.take(statement, 'routes and hosts of the services');
  for (const statement of all) if (!report.has(statement)) readStatement(statement, draft, report);
  return draft;
}

function readBinds(statements: readonly Statement[], draft: GatewayDraft, report: ImportReport): void {
  for (const statement of statements.filter(({ words: [first] }) => first === 'bind')) {
    const addresses = plainAddresses(statement);
    const crt = addresses && certificateOf(statement);
    if (addresses === null || crt === null || (crt !== undefined && draft.tls && draft.tls.crt !== crt)) {
      draft.extra.push({ text: statement.text, statement });
      report.keep(statement, 'haproxy.extra.frontend');
    } else if (crt === undefined) {
      draft.bind.push(...addresses);
      report.take(statement, 'haproxy.bind');
    } else {
      draft.tls ??= { crt, bind: [], redirect: false, http2: false };
      draft.tls.bind.push(...addresses);
      draft.tls.http2 ||= optionOf(statement, 'alpn')?.split(',').includes('h2') ?? false;
      report.take(statement, 'haproxy.tls');
    }
  }
}

/** The addresses of `bind *:80,10.0.0.1:80`; null when one is not a plain address. */
function plainAddresses({ words, usesEnvironment }: Statement): string[] | null {
  const places = (words[1] ?? '').split(',').map(toHostPort);
  if (usesEnvironment || places.some((place) => place === null)) return null;
  return places.map((place) => `${place?.host === '' ? '*' : place?.host}:${place?.port}`);
}

const PLAIN_BIND_OPTIONS = wordTable<number>({ ssl: 0, crt: 1, alpn: 1, name: 1 });

const optionOf = ({ words }: Statement, name: string): string | undefined => {
  const at = words.indexOf(name, 2);
  return at < 0 ? undefined : words[at + 1];
};

/** Undefined: plain HTTP. Null: options without an equivalent. */
function certificateOf(statement: Statement): string | undefined | null {
  const { words } = statement;
  let certificates = 0;
  for (let at = 2; at < words.length; ) {
    const size = PLAIN_BIND_OPTIONS[words[at] ?? ''];
    if (size === undefined) return null;
    if (words[at] === 'crt') certificates += 1;
    at += 1 + size;
  }
  if (!words.includes('ssl', 2)) return undefined;
  return certificates === 1 ? (optionOf(statement, 'crt') ?? null) : null;
}

function readRedirects(
  main: GatewayFrontend,
  redirects: readonly GatewayFrontend[],
  { draft, report }: { draft: GatewayDraft; report: ImportReport },
): void {
  if (!draft.tls) return;
  // Without a condition, a redirect in the main frontend would apply to https as well.
  const own = main.statements.filter((each) => isTlsRedirect(each) && each.words.includes('ssl_fc'));
  const found = [...own, ...redirects.flatMap(({ statements }) => statements.filter(isTlsRedirect))];
  for (const statement of found) report.take(statement, 'haproxy.tls.redirect');
  draft.tls.redirect = found.length > 0;
}

/** acgs-lb has error pages of its own in its `defaults`, and those of a backend come before those of its frontend. */
const ERROR_PAGES = new Set([
  'errorfile',
  'errorfiles',
  'errorloc',
  'errorloc302',
  'errorloc303',
  'http-error',
]);

function readStatement(statement: Statement, draft: GatewayDraft, report: ImportReport): void {
  const keyword = keywordOf(statement);
  const obsolete = obsoleteReason(statement);
  const forwarded = forwardedReason(statement);
  if (obsolete !== null) report.refuse(statement, obsolete);
  else if (keyword in COVERED && statement.words[0] !== 'no') report.take(statement, COVERED[keyword] ?? '');
  else if (forwarded !== null) report.take(statement, forwarded);
  else if (keyword === 'timeout client') report.take(statement, 'haproxy.timeouts.client');
  else if (keyword === 'log-format')
    report.refuse(statement, 'the agent reads the log, so the gateway has its own format');
  else if (ERROR_PAGES.has(keyword)) {
    draft.errorPages.push({ text: statement.text, statement });
    report.keep(statement, 'haproxy.extra.defaults');
  } else {
    draft.extra.push({ text: statement.text, statement });
    report.keep(statement, 'haproxy.extra.frontend');
  }
}

/** A bind line has TLS with one certificate and no other options. */
export const hasPlainTls = (statements: readonly Statement[]): boolean =>
  statements.some(
    (statement) =>
      statement.words[0] === 'bind' &&
      plainAddresses(statement) !== null &&
      typeof certificateOf(statement) === 'string',
  );

/** Every bind line is plain HTTP. */
export const hasPlainBinds = (statements: readonly Statement[]): boolean =>
  statements
    .filter(({ words: [first] }) => first === 'bind')
    .every((bind) => plainAddresses(bind) !== null && certificateOf(bind) === undefined);
