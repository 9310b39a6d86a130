/** How many times an instance, or a proxy before it, may decode the path. HAProxy's rules decode as often. */
const MAX_DECODINGS = 2;
/** What makes a path readable in more than one way. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a control byte is one of them
const AMBIGUOUS = /[%;\\\x00-\x20\x7f-\uffff]|\/\/|\/\./;
/**
 * A path parameter (`;x=1`), a control byte, or a decoded `?` or `#` ends a segment for some instances; blanks before the
 * end are ignored.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a control byte ends the segment
const SEGMENT_END = / *(?:[;?#\x00-\x1f\x7f].*)?$/s;

/**
 * Every way in which an instance may read the request's path: as sent, decoded once or twice, with `\` as `/`, without
 * path parameters and what follows a control byte or a decoded `?` or `#`, with empty and dot segments kept or resolved,
 * in lower case (ASCII), as bytes with one character each. Only for matching rules: a rule applies when it covers one of the readings. The request keeps its path.
 */
export function pathReadings(path: string): readonly string[] {
  if (!AMBIGUOUS.test(path)) return [foldCase(path)];
  const readings = new Set([foldCase(bytesOf(path))]);
  let decoded = bytesOf(path);
  for (let decodings = 0; decodings <= MAX_DECODINGS; decodings++) {
    const segments = segmentsOf(decoded);
    readings.add(join(segments));
    readings.add(join(resolveDots(segments)));
    const next = decode(decoded);
    if (next === decoded) break;
    decoded = next;
  }
  return [...readings];
}

/**
 * The paths of a rule in the form that `pathReadings` compares with: `/Caf%C3%A9` covers the paths below `/café`, whether
 * the instance reads paths as UTF-8 or as ISO 8859-1.
 */
export function rulePrefixes(path: string): readonly string[] {
  const utf8 = join(resolveDots(segmentsOf(decode(bytesOf(path)))));
  const latin1 = latin1Of(utf8);
  return latin1 === null || latin1 === utf8 ? [utf8] : [utf8, latin1];
}

/** Whether one of the rules' paths covers a request's path in any of its readings. */
export function compilePathRules(paths: readonly string[]): (path: string) => boolean {
  const prefixes = paths.flatMap(rulePrefixes);
  return (path) => coversReading(prefixes, pathReadings(path));
}

export const coversReading = (prefixes: readonly string[], readings: readonly string[]): boolean =>
  prefixes.some((prefix) => readings.some((reading) => coversPath(prefix, reading)));

const join = (segments: readonly string[]): string => foldCase(`/${segments.join('/')}`);

function segmentsOf(path: string): string[] {
  return path
    .replaceAll('\\', '/')
    .split('/')
    .map((segment) => segment.replace(SEGMENT_END, ''))
    .filter((segment) => segment !== '' && segment !== '.');
}

function resolveDots(segments: readonly string[]): string[] {
  const resolved: string[] = [];
  for (const segment of segments) {
    if (segment === '..') resolved.pop();
    else resolved.push(segment);
  }
  return resolved;
}

/** Lower case of ASCII letters only, as HAProxy's `lower`. */
const foldCase = (text: string): string =>
  /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text;

/**
 * Decodes percent-encoding to bytes, one character each, as HAProxy and byte-oriented servers do: bytes that are not UTF-8
 * cannot hide the rest.
 */
const decode = (path: string): string =>
  path.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));

/** The UTF-8 bytes of a text, one character each. */
const bytesOf = (text: string): string =>
  text.replace(/[\x80-\uffff]+/g, (part) => String.fromCharCode(...new TextEncoder().encode(part)));

/** UTF-8 bytes as ISO 8859-1 bytes, one character each; null for bytes that are not UTF-8, and for other characters. */
function latin1Of(bytes: string): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(bytes, (char) => char.charCodeAt(0)),
    );
    return /[\u0100-\uffff]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** Whether `prefix` covers `path` at a segment boundary: /api/v1/auth covers /api/v1/auth/x, not /api/v1/authority. */
export function coversPath(prefix: string, path: string): boolean {
  if (prefix === '/') return true;
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || path.charCodeAt(prefix.length) === 47;
}
