import type { ImportReport } from '../file/report.ts';
import { keywordOf, type Statement } from '../file/sections.ts';
import { wordTable } from '../file/word-table.ts';

/** The check statements of a backend, for the key `health`. */
export interface HealthDraft {
  http: boolean;
  method: string;
  path: string;
  headers: Record<string, string>;
  /** Null: HAProxy's own rule, 2xx and 3xx. */
  status: (number | string)[] | null;
  body: string | null;
}

const METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'POST']);
const NOTE = 'services.<id>.health';

/** The statements of the check that applies: options and rules of the backend itself replace those of its `defaults`. */
export function effectiveChecks(own: readonly Statement[], inherited: readonly Statement[]): Statement[] {
  const pick = (isWanted: (statement: Statement) => boolean): Statement[] => {
    const found = own.filter(isWanted);
    return found.length > 0 ? found : inherited.filter(isWanted);
  };
  return [...pick((statement) => !isRule(statement)), ...pick(isRule)];
}

const isRule = ({ words: [first] }: Statement): boolean => first === 'http-check' || first === 'tcp-check';

/** Reads `option httpchk` and `http-check`; other kinds of checks become a TCP check. */
export function readHealth(statements: readonly Statement[], report: ImportReport): HealthDraft {
  const draft: HealthDraft = {
    http: false,
    method: 'OPTIONS',
    path: '/',
    headers: {},
    status: null,
    body: null,
  };
  for (const statement of statements) {
    const read = READERS[keywordOf(statement)];
    const problem = read ? read(statement.words, draft) : otherReason(statement);
    if (problem === null) report.take(statement, NOTE);
    else report.refuse(statement, problem);
  }
  return draft;
}

function otherReason(statement: Statement): string | null {
  if (PLAIN_CHECKS.has(statement.words.join(' '))) return null;
  return OTHER_RULES[keywordOf(statement)] ?? 'acgs-lb checks with a TCP connection instead';
}

export const isHealthStatement = (statement: Statement): boolean => {
  const keyword = keywordOf(statement);
  return (
    keyword in READERS ||
    OTHER_CHECKS.has(keyword) ||
    keyword.startsWith('http-check ') ||
    statement.words[0] === 'tcp-check'
  );
};

/** What acgs-lb's TCP check does, and the first step of its HTTP check. */
const PLAIN_CHECKS = new Set(['option tcp-check', 'tcp-check connect', 'http-check connect']);

const OTHER_RULES = wordTable<string>({
  'http-check connect': 'acgs-lb checks the address that serves the requests',
  'http-check disable-on-404':
    'a status that health.expect.status lacks is a failed check; use acgs-lb drain',
  'http-check send-state': 'the check has no such header field',
});

const OTHER_CHECKS = new Set([
  'option tcp-check',
  'option mysql-check',
  'option pgsql-check',
  'option redis-check',
  'option smtpchk',
  'option ldap-check',
  'option ssl-hello-chk',
  'option spop-check',
  'option external-check',
]);

type HealthReader = (words: readonly string[], draft: HealthDraft) => string | null;

const READERS = wordTable<HealthReader>({
  'option httpchk': readHttpchk,
  'http-check send': readSend,
  'http-check expect': readExpect,
});

function readHttpchk(words: readonly string[], draft: HealthDraft): string | null {
  if (words[0] === 'no') {
    draft.http = false;
    return null;
  }
  const [first, second, ...rest] = words.slice(2);
  draft.http = true;
  const [method, uri] = second === undefined ? ['OPTIONS', first] : [first, second];
  return setRequest(draft, { method, uri }) ?? readVersion(rest.join(' '), draft);
}

/** `HTTP/1.1\r\nHost: x`: before 2.2, header fields of the check were written after the version. */
function readVersion(text: string, draft: HealthDraft): string | null {
  for (const field of text.split(/\r?\n/).slice(1)) {
    const match = /^([A-Za-z0-9-]+):\s*(.*)$/.exec(field);
    if (match) draft.headers[(match[1] ?? '').toLowerCase()] = match[2]?.trim() ?? '';
  }
  return null;
}

function setRequest(
  draft: HealthDraft,
  { method, uri }: { method?: string | undefined; uri?: string | undefined },
): string | null {
  if (method !== undefined) {
    if (!METHODS.has(method)) return `the method ${method} is not one of ${[...METHODS].join(', ')}`;
    draft.method = method;
  }
  if (uri === undefined) return null;
  if (!/^\/[^\s#]*$/.test(uri)) return `the path ${uri} does not start with /`;
  draft.path = uri;
  return null;
}

function readSend(words: readonly string[], draft: HealthDraft): string | null {
  for (let at = 2; at < words.length; ) {
    const [name = '', value = '', third = ''] = words.slice(at, at + 3);
    if (name === 'hdr') draft.headers[value.toLowerCase()] = third;
    else {
      const problem = readSent(name, value, draft);
      if (problem !== null) return problem;
    }
    at += name === 'hdr' ? 3 : 2;
  }
  return null;
}

function readSent(name: string, value: string, draft: HealthDraft): string | null {
  if (name === 'meth') return setRequest(draft, { method: value });
  if (name === 'uri') return setRequest(draft, { uri: value });
  return name === 'ver' ? null : `http-check send ${name} has no equivalent in acgs-lb.yaml`;
}

function readExpect(words: readonly string[], draft: HealthDraft): string | null {
  const rest = words.slice(2);
  const negated = rest[0] === '!';
  const [kind = '', value = ''] = negated ? rest.slice(1) : rest;
  const unsupported = `http-check expect ${rest.slice(0, 2).join(' ')} has no equivalent in acgs-lb.yaml`;
  if (kind === 'string' && !negated) {
    draft.body = value;
    return value === '' ? unsupported : null;
  }
  const matches = kind === 'status' ? statusTest(value) : kind === 'rstatus' ? patternTest(value) : null;
  if (matches === null) return unsupported;
  const ranges = statusRanges((status) => matches(status) !== negated);
  if (ranges.length === 0) return unsupported;
  draft.status = ranges;
  return null;
}

function statusTest(text: string): ((status: number) => boolean) | null {
  const ranges = text.split(',').map((part) => /^(\d{3})(?:-(\d{3}))?$/.exec(part));
  if (ranges.some((range) => range === null)) return null;
  return (status) =>
    ranges.some((range) => status >= Number(range?.[1]) && status <= Number(range?.[2] ?? range?.[1]));
}

/** The pattern and the text that it is applied to are short, so matching takes no long time. */
function patternTest(text: string): ((status: number) => boolean) | null {
  if (text.length > 100) return null;
  try {
    const pattern = new RegExp(text);
    return (status) => pattern.test(String(status));
  } catch {
    return null;
  }
}

function statusRanges(passes: (status: number) => boolean): (number | string)[] {
  const ranges: [number, number][] = [];
  for (let status = 100; status <= 599; status++) {
    if (!passes(status)) continue;
    const last = ranges.at(-1);
    if (last && last[1] === status - 1) last[1] = status;
    else ranges.push([status, status]);
  }
  return ranges.map(([from, to]) => (from === to ? from : `${from}-${to}`));
}
