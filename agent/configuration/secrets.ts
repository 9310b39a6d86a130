import { HIDDEN, hideHaproxySecrets } from '../../shared/config/haproxy-secrets.ts';

/** Probe headers that are not secret. */
const PUBLIC_HEADERS = new Set(['host', 'accept', 'user-agent']);
/** The sections with requests to services of others. */
const SENDS_TO_OTHERS = /^(?:alerts\.(?:receivers|heartbeat)|telemetry\.otlp)\./;

/**
 * Hides secrets that operators put into the configuration file, so that no response or log contains them. `path` is the
 * position of the value in the configuration.
 */
export function redactSecrets<T>(value: T, path: readonly string[] = []): T {
  return redact(value, path) as T;
}

function redact(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => redact(item, path));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, redact(inner, [...path, key])]),
    );
  }
  return typeof value === 'string' ? redactText(value, path) : value;
}

function redactText(text: string, path: readonly string[]): string {
  const [section, , group, name, header] = path;
  if (section === 'services' && group === 'health' && name === 'headers') {
    return PUBLIC_HEADERS.has(header ?? '') ? text : HIDDEN;
  }
  if (section === 'haproxy' && path[1] === 'extra') return hideHaproxySecrets(text);
  if (!SENDS_TO_OTHERS.test(path.join('.'))) return text;
  if (path.includes('headers')) return HIDDEN;
  // Everyone who knows the URL of a webhook can post to it.
  return path.at(-1) === 'url' && URL.canParse(text) ? `${new URL(text).origin}/${HIDDEN}` : text;
}
