/**
 * An http or https URL of scheme, host and port only, without a trailing slash. Null for any other text, for an abbreviated
 * IPv4 address, and for port 0, which HAProxy rejects.
 */
export function parseOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const bare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password;
  if (url.port === '0' || isAbbreviated(url.hostname, text)) return null;
  const known = url.protocol === 'http:' || url.protocol === 'https:';
  return bare && known && url.hostname && !text.includes('?') && !text.includes('#') ? url.origin : null;
}

/** The URL parser completes IPv4 addresses: 127.0 is 127.0.0.0. Such a text is more likely a half-written address. */
const isAbbreviated = (hostname: string, text: string): boolean =>
  /^\d+(?:\.\d+){3}$/.test(hostname) && !text.includes(hostname);
