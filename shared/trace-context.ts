/** W3C trace context (https://www.w3.org/TR/trace-context/). Ids are lower-case hex. */

/** 32 digits for a trace, 16 for a span. */
export interface TraceContext {
  readonly traceId: string;
  /** The caller's span; null when the trace starts here. */
  readonly parentId: string | null;
  /** The span of this program for the request. */
  readonly spanId: string;
  /** Two digits. Bit 0: the trace is sampled, so every part of it records its spans. */
  readonly flags: string;
}

/** A valid `traceparent`. A version after 00 may append fields, which are ignored. Also used by HAProxy (PCRE). */
export const TRACEPARENT_PATTERN =
  '^(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-|$)';
/** A request id that is safe in logs, headers and JSON. Also used by HAProxy. */
export const REQUEST_ID_PATTERN = '^[A-Za-z0-9._:/+=-]{1,128}$';

const TRACEPARENT = new RegExp(TRACEPARENT_PATTERN);
const REQUEST_ID = new RegExp(REQUEST_ID_PATTERN);

/** The caller's trace, span and flags; null when the header is missing or invalid. */
export function parseTraceparent(
  header: string | null,
): { traceId: string; parentId: string; flags: string } | null {
  if (header === null || !TRACEPARENT.test(header)) return null;
  return { traceId: header.slice(3, 35), parentId: header.slice(36, 52), flags: header.slice(53, 55) };
}

export const formatTraceparent = ({ traceId, flags }: TraceContext, spanId: string): string =>
  `00-${traceId}-${spanId}-${flags}`;

export const isSampled = (flags: string): boolean => (Number.parseInt(flags, 16) & 1) === 1;

export const isRequestId = (text: string): boolean => REQUEST_ID.test(text);
