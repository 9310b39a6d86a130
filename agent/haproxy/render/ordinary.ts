import { HOP_BY_HOP } from '../../../shared/hop-by-hop.ts';
import { HOST_PATTERN } from '../../../shared/request-url.ts';
import { UNTRUSTED_NAMES } from '../../../shared/untrusted-fields.ts';

/**
 * Patterns (PCRE) for ordinary messages, which no rule of the gateway refuses or cleans. HAProxy matches a pattern once and
 * skips these rules. A pattern may match too little, which only costs time, but never too much.
 */
export interface OrdinaryPatterns {
  /** Path and query. */
  readonly target: string;
  /** The header fields of a request, as `req.hdrs` writes them: names in lower case, lines that end with CRLF. */
  readonly fields: string;
  /** The header fields of a response. */
  readonly answer: string;
}

/** The limit of a PCRE quantifier. */
const MAX_REPEATS = 65_535;
const LINE_END = '\\r\\n';
/** A value without control bytes, except tabs. */
const VALUE = `[^\\x00-\\x08\\x0a-\\x1f\\x7f]*+`;

/** No segment is a dot segment, has an escape or parameters, or is empty, except the last one. */
const TARGET = '(?!/__acgs/)(?:/(?![/.])[A-Za-z0-9_~!$&()*+,=:@.-]*+)++(?:\\?[!"$-&(-~]*+)?$';

/** Fields that the gateway sets itself, after it has removed the client's fields. */
export const OWN_REQUEST_FIELDS = [
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-request-id',
  'traceparent',
] as const;

export const OWN_ANSWER_FIELDS = [
  'x-acgs-.*',
  'x-request-id',
  'traceparent',
  'x-content-type-options',
] as const;

const field = (special: string): string => `(?!${special})[a-z0-9-]++: ${VALUE}${LINE_END}`;

export function ordinaryPatterns(maxHeaderBytes: number): OrdinaryPatterns {
  const limit = `^(?!(?s:.{${Math.min(maxHeaderBytes + 1, MAX_REPEATS)}}))`;
  const hops = [...HOP_BY_HOP].filter((name) => name !== 'connection');
  const special = [
    `connection: (?!keep-alive${LINE_END})`,
    `content-length: (?![0-9]{1,18}${LINE_END})`,
    'accept: [^\\r]*(?i:event-stream)',
    'x-acgs-(?!edge:)',
    ...['host', 'forwarded', 'tracestate', ...hops, ...OWN_REQUEST_FIELDS].map((name) => `${name}:`),
    `(?:${UNTRUSTED_NAMES.replaceAll('$', ':')}):`,
  ].join('|');
  const specialAnswer = [
    `connection: (?!keep-alive${LINE_END})`,
    ...hops.filter((name) => name !== 'keep-alive' && name !== 'transfer-encoding').map((name) => `${name}:`),
    ...[...OWN_ANSWER_FIELDS, 'x-frame-options', 'referrer-policy'].map((name) => `${name}:`),
  ].join('|');
  const host = HOST_PATTERN.replace(/^\^|\$$/g, '');
  return {
    target: `${limit}${TARGET}`,
    fields: `${limit}(?:${field(special)})*+host: ${host}${LINE_END}(?:${field(special)})*+${LINE_END}$`,
    answer: `${limit}(?:${field(specialAnswer)})*+${LINE_END}$`,
  };
}
