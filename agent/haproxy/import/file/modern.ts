/** A rule of HAProxy 1.x: what its line looks like, and the line that replaces it. */
type Replacement = [line: RegExp, current: string | ((...groups: string[]) => string)];

const HEADER = '([A-Za-z0-9-]+)';

const phaseOf = (prefix = ''): string => (prefix.startsWith('req') ? 'http-request' : 'http-response');

const REPLACEMENTS: readonly Replacement[] = [
  [/^contimeout\b/, 'timeout connect'],
  [/^clitimeout\b/, 'timeout client'],
  [/^srvtimeout\b/, 'timeout server'],
  [/^block\b/, 'http-request deny'],
  [
    new RegExp(`^(req|rsp)add\\s+${HEADER}:(?:\\\\ )*((?:\\\\.|\\S)+)`),
    (_, prefix, name, value = '') => `${phaseOf(prefix)} add-header ${name} ${value.replaceAll('%', '%%')}`,
  ],
  [
    new RegExp(`^(req|rsp)i?del\\s+\\^${HEADER}:(?:\\.\\*)?(?=\\s|$)`),
    (_, prefix, name) => `${phaseOf(prefix)} del-header ${name}`,
  ],
  [
    // The value of `Host` as a whole.
    /^reqi?rep\s+\^Host:(?:(?:\\ |\.)\*|\\ \.\*)?\s+Host:(?:\\ )*([A-Za-z0-9.:-]+)(?=\s|$)/,
    (_, value) => `http-request set-header Host ${value}`,
  ],
  // HAProxy 2.5 and later is one process.
  [/^((?:bind|stats\s+socket)\s.*?)\s+process\s+[\w/-]+/, '$1'],
];

/** The line of a configuration for HAProxy 1.x, as HAProxy 2.6 and later understand it; any other line unchanged. */
export function modernLine(line: string): string {
  const start = line.length - line.trimStart().length;
  const text = line.slice(start);
  for (const [pattern, current] of REPLACEMENTS) {
    const match = pattern.exec(text);
    if (!match) continue;
    const replaced =
      typeof current === 'string' ? text.replace(pattern, current) : text.replace(pattern, current);
    return `${line.slice(0, start)}${replaced}`;
  }
  return line;
}
