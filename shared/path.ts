/**
 * The path as an instance may interpret it: percent-encoding decoded once, backslashes read as slashes, empty and dot
 * segments resolved, path parameters (`;x=1`) removed. Only for matching rules; the request keeps its path.
 */
export function normalizePath(path: string): string {
  if (!/%|\/\/|\/\.|;|\\/.test(path)) return path;
  const segments: string[] = [];
  for (const raw of decode(path).replaceAll('\\', '/').split('/')) {
    const end = raw.indexOf(';');
    const segment = end < 0 ? raw : raw.slice(0, end);
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

/** Decodes percent-encoding. Bytes that are not UTF-8 decode one by one, so that they cannot hide the rest. */
function decode(path: string): string {
  return path.replace(/(?:%[0-9a-fA-F]{2})+/g, (escapes) => {
    try {
      return decodeURIComponent(escapes);
    } catch {
      return escapes.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(parseInt(hex, 16)),
      );
    }
  });
}

/** Whether `prefix` covers `path` at a segment boundary: /api/v1/auth covers /api/v1/auth/x, not /api/v1/authority. */
export function coversPath(prefix: string, path: string): boolean {
  if (prefix === '/') return true;
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || path.charCodeAt(prefix.length) === 47;
}
