const PLAIN = /^[A-Za-z0-9_.:/@%+=,~*()[\]{}!?&;<>|^-]+$/;

/**
 * One argument of a HAProxy configuration line. Every byte that HAProxy's parser could read as syntax (blank, quote, `$`,
 * `#`, backslash) becomes `\xHH`, so a value cannot end its argument or its line.
 */
export function quoteArgument(text: string): string {
  if (text === '') return '""';
  return PLAIN.test(text) ? text : quoteBytes(new TextEncoder().encode(text));
}

/** As `quoteArgument`, for bytes that need not be UTF-8. */
export function quoteBytes(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    out += PLAIN.test(char) ? char : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return out;
}

/** An argument that HAProxy reads as a log format, where an unescaped `%` starts a variable. */
export const quoteLogFormat = (text: string): string => quoteArgument(text.replaceAll('%', '%%'));

/** Milliseconds in HAProxy's duration syntax. */
export const formatDuration = (ms: number): string =>
  ms % 1000 === 0 ? `${ms / 1000}s` : `${Math.max(1, Math.round(ms))}ms`;
