/** What people put into the file although it is a secret: never answered, never logged. */

const HIDDEN = '(hidden)';
/** Headers of probes that tell nothing. */
const PLAIN_HEADERS = new Set(['host', 'accept', 'user-agent']);

/** The value with secrets hidden; `path` is where in the configuration it stands. */
export function redactSecrets<T>(value: T, path: readonly string[] = []): T {
  return hidden(value, path) as T;
}

function hidden(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => hidden(item, path));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, hidden(inner, [...path, key])]),
    );
  }
  return typeof value === 'string' ? hiddenText(value, path) : value;
}

function hiddenText(text: string, path: readonly string[]): string {
  const [section, , group, name, header] = path;
  if (section === 'services' && group === 'health' && name === 'headers') {
    return PLAIN_HEADERS.has(header ?? '') ? text : HIDDEN;
  }
  if (section !== 'alerts' || path[1] !== 'receivers') return text;
  if (name === 'headers') return HIDDEN;
  // Whoever knows a webhook's address may write to it.
  return name === 'url' && URL.canParse(text) ? `${new URL(text).origin}/${HIDDEN}` : text;
}
