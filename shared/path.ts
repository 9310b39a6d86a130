/**
 * Paths are never rewritten on their way; but an access rule for /admin must also catch what an origin may read as
 * /admin. So rules are held against the path with percent-encoding undone once, empty and dot segments resolved, and
 * path parameters (`;x=1`) taken off.
 */
export function normalisePath(path: string): string {
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

/** Undoes what can be undone: a broken escape stays as it is instead of hiding the rest. */
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
