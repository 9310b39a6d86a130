/**
 * The envelope: everything that the edge sends to a gateway about a request, in one header field, `x-acgs-edge`. It is the
 * edge token, then the fields below in this order, separated by `;`. An absent field is empty. HAProxy verifies the token
 * and reads the fields (haproxy/haproxy.cfg.eta).
 *
 * New fields go to the end: a gateway ignores fields that it does not know and treats missing ones as empty.
 */
export const ENVELOPE_HEADER = 'x-acgs-edge';

export interface EnvelopeFields {
  /** The client's address. */
  readonly client: string;
  /** `http` or `https`, as the client used it. */
  readonly proto: string;
  /** The client's `Host`. */
  readonly host: string;
  readonly requestId: string;
  /** The service that the edge chose; null: the gateway routes. */
  readonly service: string | null;
  /** The instance to use; null: the gateway picks. */
  readonly target: string | null;
  /** The `traceparent` of this attempt; null: the client's, if any. */
  readonly traceparent: string | null;
  /** For the answer: the values of `RateLimit` and `RateLimit-Policy`. */
  readonly rateLimit: string | null;
  readonly rateLimitPolicy: string | null;
}

const TRACEPARENT = '[0-9a-f-]{55}';
const ID = '[A-Za-z0-9._-]{1,63}';
/** Escaped text: no `;`, and no escape of a control byte, so that it cannot end a field or a line. */
const TEXT = '(?:[A-Za-z0-9"=,.:_ -]|%(?:[2-6][0-9A-F]|7[0-9A-E]))*';

/** What a gateway accepts in each field. HAProxy limits the size of the whole header field. */
const FIELD_PATTERNS: Record<keyof EnvelopeFields, string> = {
  client: '[0-9a-fA-F.:]{2,45}',
  proto: 'https?',
  host: '(?:[A-Za-z0-9._-]{1,255}|\\[[0-9A-Fa-f:.]{2,45}\\])(?::[0-9]{1,5})?',
  requestId: '[A-Za-z0-9._:/+=-]{1,128}',
  service: ID,
  target: ID,
  traceparent: TRACEPARENT,
  rateLimit: TEXT,
  rateLimitPolicy: TEXT,
};

const NAMES = Object.keys(FIELD_PATTERNS) as readonly (keyof EnvelopeFields)[];
/** The number of required fields, which come first. */
const REQUIRED = 4;

const TOKEN = '[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+';

/**
 * The whole header field, as a regular expression for HAProxy and JavaScript. The edge's own requests, such as reports,
 * have a token alone.
 */
export const ENVELOPE_PATTERN = `^${TOKEN}(?:;${NAMES.map((name, index) =>
  index < REQUIRED ? FIELD_PATTERNS[name] : `(?:${FIELD_PATTERNS[name]})?`,
).join(';')}(?:;[ -~]*)?)?$`;

/** The position of a field after the token, counted from 1 as HAProxy's converter `field` does. */
export const envelopeIndex = (name: keyof EnvelopeFields): number => NAMES.indexOf(name) + 1;

const UNSAFE = /[^A-Za-z0-9"=,.:_ -]/g;
const UNSAFE_BESIDES = /[^A-Za-z0-9"=,.:_; -]/;
/** The maximum length of an escaped field. */
const MAX_TEXT = 1_024;
/** Maximum bytes of the header field: a token of 512, two escaped fields, and the rest. */
export const MAX_ENVELOPE_BYTES = 3_328;

/** The escaped text; empty if it is too long, so that the answer lacks the field. */
function escaped(text: string | null): string {
  if (text === null) return '';
  // Most values have only `;` to escape. A callback for each `;` would cost four times as much.
  const isOrdinary = !UNSAFE_BESIDES.test(text);
  const safe = isOrdinary ? text.replaceAll(';', '%3B') : text.replace(UNSAFE, percentEncoded);
  return safe.length > MAX_TEXT ? '' : safe;
}

const percentEncoded = (char: string): string => {
  const code = char.charCodeAt(0);
  // Fields for answers are printable ASCII (RFC 9651). All other characters are dropped.
  return code < 0x20 || code > 0x7e ? '' : `%${code.toString(16).toUpperCase()}`;
};

const ifMatches = (pattern: RegExp, value: string | null): string =>
  value !== null && pattern.test(value) ? value : '';

const wholeId = new RegExp(`^${ID}$`);
const wholeTraceparent = new RegExp(`^${TRACEPARENT}$`);

/**
 * The header field. `client`, `proto`, `host` and `requestId` must be valid, which `guard` ensures. Other values that a
 * gateway would refuse are left out, so the gateway decides itself.
 */
export function encodeEnvelope(token: string, fields: EnvelopeFields): string {
  const service = ifMatches(wholeId, fields.service);
  const target = ifMatches(wholeId, fields.target);
  const traceparent = ifMatches(wholeTraceparent, fields.traceparent);
  const limits = `${escaped(fields.rateLimit)};${escaped(fields.rateLimitPolicy)}`;
  return `${token};${fields.client};${fields.proto};${fields.host};${fields.requestId};${service};${target};${traceparent};${limits}`;
}

const whole = new RegExp(ENVELOPE_PATTERN);

/** What HAProxy reads from the header field; null if it refuses the field. `fields` is null for a token alone. */
export function parseEnvelope(text: string): { token: string; fields: EnvelopeFields | null } | null {
  if (!whole.test(text)) return null;
  const [token = '', ...values] = text.split(';');
  if (values.length === 0) return { token, fields: null };
  const [client = '', proto = '', host = '', requestId = '', ...optional] = values;
  const [service, target, traceparent, rateLimit, rateLimitPolicy] = optional
    // A later version may append fields in another form.
    .slice(0, NAMES.length - REQUIRED)
    .map((value) => (value === '' ? null : decodeURIComponent(value)));
  return {
    token,
    fields: {
      client,
      proto,
      host,
      requestId,
      service: service ?? null,
      target: target ?? null,
      traceparent: traceparent ?? null,
      rateLimit: rateLimit ?? null,
      rateLimitPolicy: rateLimitPolicy ?? null,
    },
  };
}
