import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { durationText, parseDuration } from './duration.ts';
import { ID_PATTERN } from './id-pattern.ts';
import { parseOrigin } from './origin.ts';

export { durationText, ID_PATTERN, parseDuration, parseOrigin };

const DAY_MS = 86_400_000;

/** Timers of Node, workerd and HAProxy hold 2^31 − 1 ms, 24.8 days; a longer one would fire at once. */
const MAX_TIMER_MS = 24 * DAY_MS;
/** Ten years: for times that are only compared with a clock. */
const MAX_AGE_MS = 3_650 * DAY_MS;

const durationWithin =
  (min: number, max: number) =>
  (text: string): number | null => {
    const ms = parseDuration(text);
    return ms !== null && Number.isInteger(ms) && ms >= min && ms <= max ? ms : null;
  };

/** HAProxy's counters have 32 bits. */
const MAX_RATE = 1e9;

/** `20/10s`: 20 requests in 10 seconds. Null when the text is not a rate. */
function parseRate(text: string): { limit: number; windowMs: number } | null {
  const match = /^(\d+)\/(.+)$/.exec(text);
  const windowMs = match?.[2] ? durationWithin(1, MAX_TIMER_MS)(match[2]) : null;
  const limit = Number(match?.[1]);
  return windowMs && limit > 0 && limit <= MAX_RATE ? { limit, windowMs } : null;
}

/**
 * Four decimal numbers or IPv6 without a zone, and the length of the network. Abbreviations are refused: `10/8` would be
 * 0.0.0.10/8, and `010.0.0.1` is 8.0.0.1 for some programs and 10.0.0.1 for HAProxy.
 */
function isCidr(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const isIpv6 = ipaddr.IPv6.isValid(address) && !address.includes('%');
  if (rest.length > 0 || !(isIpv6 || ipaddr.IPv4.isValidFourPartDecimal(address))) return false;
  return bits === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (isIpv6 ? 128 : 32));
}

function scalar<T>(allowed: string, parse: (text: string) => T | null | undefined) {
  return z
    .string({ error: allowed })
    .meta({ description: allowed })
    .transform((text, context) => {
      const value = parse(text);
      if (value !== null && value !== undefined) return value;
      context.addIssue({ code: 'custom', message: allowed, input: text });
      return z.NEVER;
    });
}

/** Text such as `10s` in the file, milliseconds in the program. May be used for a timer. */
export const duration = scalar(
  'a duration such as 250ms, 10s, 5m, 1h or 7d, from 1ms to 24d',
  durationWithin(1, MAX_TIMER_MS),
);

/** A duration that may be zero. */
export const durationOrZero = scalar(
  'a duration such as 0s, 250ms, 10s or 5m, at most 24d',
  durationWithin(0, MAX_TIMER_MS),
);

/** A duration that no timer waits for. */
export const age = scalar(
  'a duration such as 10s, 5m, 1h or 30d, from 1ms to 3650d',
  durationWithin(1, MAX_AGE_MS),
);

/** An age that may be zero. */
export const ageOrZero = scalar(
  'a duration such as 0s, 5m, 1h or 30d, at most 3650d',
  durationWithin(0, MAX_AGE_MS),
);

/** `50%` in the file, 0.5 in the program; from 0% to 100%. */
export const percentage = scalar('a percentage from 0% to 100%', (text) => {
  const match = /^(\d+(?:\.\d+)?)%$/.exec(text);
  const value = Number(match?.[1]);
  return match && value <= 100 ? value / 100 : null;
});

export const rate = scalar('a rate such as 20/10s', parseRate);

export const cidr = scalar('an address or network such as 10.0.0.0/8 or 2001:db8::/32', (text) =>
  isCidr(text) ? text : null,
);

export const id = scalar(
  '1 to 63 letters, digits, "-", "_" or ".", starting with a letter or digit',
  (text) => (ID_PATTERN.test(text) ? text : null),
);

export const origin = scalar(
  'an http:// or https:// origin without path, credentials, abbreviated address or port 0',
  parseOrigin,
);

export const httpUrl = scalar('an http:// or https:// URL', (text) =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? text : null,
);

/** The name in `${NAME}`, which stands for the value of an environment variable; null when the text is not of this form. */
export const variableName = (text: string): string | null =>
  /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(text)?.[1] ?? null;

/** Errors with this text never show the value: it may be a secret. */
export const SECRET_FORM = `an environment variable such as $\{MY_SECRET}; a secret is never written in this file`;

/** The name of an environment variable, as `${NAME}`. The program reads its value where it is used. */
export const secret = scalar(SECRET_FORM, (text) => (variableName(text) ? text : null));

/** A URL without credentials, or `${NAME}` for a URL that is a secret. */
export const urlOrSecret = z
  .string()
  .meta({ description: `an http:// or https:// URL without credentials, or $\{NAME} if the URL is a secret` })
  .superRefine((text, context) => {
    if (variableName(text)) return;
    const url = URL.canParse(text) ? new URL(text) : null;
    const message =
      !url || !/^https?:$/.test(url.protocol) ? `an http:// or https:// URL, or $\{NAME}` : null;
    if (message) context.addIssue({ code: 'custom', message, input: text });
    else if (url?.username || url?.password) {
      context.addIssue({ code: 'custom', message: SECRET_FORM, input: text });
    }
  });

export const pathPrefix = scalar(
  'a path prefix such as /api/v1/auth (starts with "/", no query, no "." or ".." segment, no trailing "/")',
  parsePathPrefix,
);

function parsePathPrefix(text: string): string | null {
  const known = text === '/' || /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+$/.test(text);
  return known ? text : null;
}

/**
 * A prefix that access rules and limits compare with decoded paths. A `;` or an escaped delimiter, dot segment or control
 * byte never occurs in those, so a rule with one would never apply.
 */
export const rulePath = scalar(
  'a path prefix such as /admin or /caf%C3%A9 (like those of routes, but without ";"; %XX only for characters in UTF-8, not for "/", "\\", "%", ";", "?", "#", dot segments or control bytes)',
  (text) => (parsePathPrefix(text) !== null && isMatchable(text) ? text : null),
);

function isMatchable(prefix: string): boolean {
  let decoded: string;
  try {
    decoded = decodeURIComponent(prefix);
  } catch {
    return false;
  }
  const unchanged = decoded.split('/').length === prefix.split('/').length;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they end a path for some instances
  return unchanged && !/[;?#%\\\x00-\x1f\x7f]| (?:\/|$)|\/\.{1,2}(?:\/|$)/.test(decoded);
}

/** `host:port`, `:port`, `*:port`, `[v6]:port`. */
export const bindAddress = scalar('an address to listen on such as 127.0.0.1:8090 or *:443', (text) => {
  const port = Number(/^(?:\*|[A-Za-z0-9.-]*|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(text)?.[1]);
  return port > 0 && port < 65_536 ? text : null;
});

export const headerName = scalar('a header name', (text) =>
  /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(text) ? text.toLowerCase() : null,
);

/** HAProxy sends text as UTF-8 and Node as ISO 8859-1, so only what is the same in both is allowed. */
export const FIELD_VALUE = 'printable ASCII text';
export const isFieldValue = (text: string): boolean => /^[\t -~]*$/.test(text);
export const fieldValue = z.string().refine(isFieldValue, FIELD_VALUE);

/** 200, `2xx` or `200-299` in the file; an inclusive range of status codes in the program. */
export const statusRange = z
  .union([z.int().min(100).max(599), z.string()])
  .transform((value, context): [number, number] => {
    if (typeof value === 'number') return [value, value];
    const family = /^([1-5])xx$/.exec(value);
    if (family) return [Number(family[1]) * 100, Number(family[1]) * 100 + 99];
    const range = /^([1-5]\d\d)-([1-5]\d\d)$/.exec(value);
    if (range && Number(range[1]) <= Number(range[2])) return [Number(range[1]), Number(range[2])];
    context.addIssue({ code: 'custom', message: 'a status such as 200, 2xx or 200-299', input: value });
    return z.NEVER;
  });

export const positiveInt = z.int().min(1);
