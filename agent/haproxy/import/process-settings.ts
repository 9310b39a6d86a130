import { lastOf, obsoleteReason } from './file/proxies.ts';
import type { ImportReport } from './file/report.ts';
import { keywordOf, type Section, type Statement } from './file/sections.ts';
import { isId, toDuration, toInteger } from './file/values.ts';
import { wordTable } from './file/word-table.ts';
import { COVERED, type ExtraStatement, forwardedReason } from './services/service.ts';

/** Keys of the section `haproxy`, and lines that stay as they are. */
export interface ProcessDraft {
  settings: Record<string, unknown>;
  timeouts: Record<string, string>;
  global: ExtraStatement[];
  defaults: ExtraStatement[];
  /** Rules of a `defaults` section. HAProxy refuses them in acgs-lb's own, which has no name. */
  rules: ExtraStatement[];
}

/** Takes over a statement of `global` and returns a note; null if the statement stays as it is. */
type GlobalReader = (statement: Statement, draft: ProcessDraft, report: ImportReport) => string | null;

const note =
  (text: string): GlobalReader =>
  () =>
    text;

const GLOBAL_READERS = wordTable<GlobalReader>({
  maxconn: numberFor('maxconn', 1_000_000),
  nbthread: numberFor('threads', 64),
  'stats socket': readSocket,
  log: readLog,
  localpeer: readName,
  'tune.bufsize': readBuffer,
  daemon: note('the service manager starts HAProxy'),
  'master-worker': note('the service manager starts HAProxy with -W'),
  pidfile: note('the service manager starts HAProxy'),
  'server-state-file': note('acgs-lb keeps the server states'),
  'server-state-base': note('acgs-lb keeps the server states'),
});

/** Settings that HAProxy accepts only once, with the values that acgs-lb sets with ENVIRONMENT=production. */
const FIXED = wordTable<string>({
  user: 'haproxy',
  group: 'haproxy',
  chroot: '/var/lib/haproxy',
});

/** Settings that acgs-lb always writes, and their keys. */
const ONCE: ReadonlyMap<string, string> = new Map([
  ['maxconn', 'maxconn'],
  ['nbthread', 'threads'],
]);

export function readGlobal(section: Section, draft: ProcessDraft, report: ImportReport): void {
  report.take(section.head, 'acgs-lb writes the section');
  for (const statement of section.body) {
    const refused = refusedGlobal(statement);
    const taken = refused === null ? takenGlobal(statement, draft, report) : null;
    if (refused !== null) report.refuse(statement, refused);
    else if (taken !== null) report.take(statement, taken);
    else {
      draft.global.push({ text: statement.text, statement });
      report.keep(statement, 'haproxy.extra.global');
    }
  }
}

function refusedGlobal(statement: Statement): string | null {
  const keyword = keywordOf(statement);
  const fixed = FIXED[keyword];
  if (fixed !== undefined && fixed !== statement.words[1])
    return `acgs-lb sets ${keyword} ${fixed} in production, and HAProxy accepts only one`;
  if (ONCE.has(keyword) && statement.usesEnvironment)
    return `acgs-lb writes it, and HAProxy accepts only one; set haproxy.${ONCE.get(keyword)}`;
  return keyword === 'description' ? 'acgs-lb keeps its fingerprint there' : obsoleteReason(statement);
}

function takenGlobal(statement: Statement, draft: ProcessDraft, report: ImportReport): string | null {
  const keyword = keywordOf(statement);
  if (keyword in FIXED) return 'acgs-lb sets it in production';
  if (statement.usesEnvironment) return null;
  return GLOBAL_READERS[keyword]?.(statement, draft, report) ?? null;
}

function numberFor(key: string, max: number): GlobalReader {
  return ({ words }, draft) => {
    const value = toInteger(words[1], 1, max);
    // HAProxy rejects a second value.
    if (key in draft.settings) return `haproxy.${key} has the first value`;
    if (value === null) return `haproxy.${key} keeps its default: ${words[1] ?? 'no value'} is not allowed`;
    draft.settings[key] = value;
    return `haproxy.${key}`;
  };
}

/** The first socket becomes the admin socket. Others stay as they are. */
function readSocket({ words }: Statement, draft: ProcessDraft): string | null {
  const path = words[2] ?? '';
  const level = words.indexOf('level');
  if ('socket' in draft.settings || !/^\/\S{1,96}$/.test(path)) return null;
  if (level > 0 && words[level + 1] !== 'admin') return null;
  draft.settings.socket = path;
  return 'haproxy.socket';
}

/** Takes over the first log. acgs-lb writes it with facility local0 and level info. */
function readLog({ words }: Statement, draft: ProcessDraft): string | null {
  const [, address = '', ...rest] = words;
  const isPlain = /^(?:\/\S+|[A-Za-z0-9.-]+(?::\d+)?|stdout)$/.test(address);
  if (!isPlain || 'log' in draft.settings) return null;
  draft.settings.log = address;
  const facility = rest.find((word) => /^(?:local\d|daemon|syslog|user)$/.test(word)) ?? 'local0';
  return facility === 'local0' ? 'haproxy.log' : `haproxy.log, with facility local0 instead of ${facility}`;
}

function readName({ words }: Statement, draft: ProcessDraft): string | null {
  const name = words[1] ?? '';
  if (!isId(name)) return null;
  draft.settings.name = name;
  return 'haproxy.name';
}

/** acgs-lb's buffer is twice the limit on header fields. */
function readBuffer({ words }: Statement, draft: ProcessDraft): string | null {
  const bytes = toInteger(words[1], 8_192, 262_144);
  if (bytes === null) return null;
  draft.settings.maxHeaderBytes = Math.floor(bytes / 2);
  return 'haproxy.maxHeaderBytes, half of it';
}

const TIMEOUTS = wordTable<string>({
  connect: 'connect',
  client: 'client',
  queue: 'queue',
  check: 'check',
  'http-request': 'request',
  'http-keep-alive': 'keepAlive',
  tunnel: 'tunnel',
});

/** Reads the `defaults` section of the gateway. */
export function readDefaults(section: Section, draft: ProcessDraft, report: ImportReport): void {
  report.take(section.head, 'acgs-lb writes the section');
  for (const statement of section.body) {
    if (report.has(statement)) continue;
    const place = takenDefault(statement, draft);
    const obsolete = obsoleteReason(statement);
    if (place !== null) report.take(statement, place);
    else if (obsolete !== null) report.refuse(statement, obsolete);
    else if (keywordOf(statement).startsWith('stats '))
      report.refuse(statement, 'the statistics page is at haproxy.stats');
    else if (keywordOf(statement) === 'log-format')
      report.refuse(statement, 'the agent reads the log, so the gateway has its own format');
    else if (RULES.has(keywordOf(statement))) {
      draft.rules.push({ text: statement.text, statement });
      report.keep(statement, 'haproxy.extra.frontend');
    } else {
      draft.defaults.push({ text: statement.text, statement });
      report.keep(statement, 'haproxy.extra.defaults');
    }
  }
}

const RULES = new Set([
  'acl',
  'http-request',
  'http-response',
  'http-after-response',
  'tcp-request',
  'tcp-response',
]);

function takenDefault(statement: Statement, draft: ProcessDraft): string | null {
  const keyword = keywordOf(statement);
  const [first = '', second = '', third] = statement.words;
  const key = first === 'timeout' ? TIMEOUTS[second] : undefined;
  const duration = toDuration(third);
  if (key !== undefined && duration !== null) {
    draft.timeouts[key] = duration;
    return `haproxy.timeouts.${key}`;
  }
  const forwarded = forwardedReason(statement);
  if (forwarded !== null) return forwarded;
  if (keyword === 'default_backend') return 'each frontend';
  if (PER_SERVICE.has(keyword)) return 'each service';
  return first !== 'no' ? (COVERED[keyword] ?? null) : null;
}

/** Settings that each service has itself. */
const PER_SERVICE = new Set([
  'balance',
  'default-server',
  'option httpchk',
  'http-check send',
  'http-check expect',
]);

/** The `defaults` that most of the given proxies use. */
export function commonDefaults(used: readonly (Section | null)[]): Section | null {
  const counts = new Map<Section, number>();
  for (const section of used) if (section) counts.set(section, (counts.get(section) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

/** A setting of the frontend itself replaces that of its defaults. */
export function readClientTimeout(statements: readonly Statement[], draft: ProcessDraft): void {
  const own = toDuration(lastOf(statements, 'timeout client')?.words[2]);
  if (own !== null) draft.timeouts.client = own;
}
