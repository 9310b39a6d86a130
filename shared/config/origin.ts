/**
 * An http or https URL of scheme, host and port only, without a trailing slash. Null for any other text, and for port 0,
 * which HAProxy rejects.
 */
export function parseOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const bare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password;
  if (url.port === '0') return null;
  const known = url.protocol === 'http:' || url.protocol === 'https:';
  return bare && known && url.hostname && !text.includes('?') && !text.includes('#') ? url.origin : null;
}
