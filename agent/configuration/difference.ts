import type { Config } from '../../shared/config/config.ts';
import { isRestartOnly } from '../../shared/config/restart-only.ts';
import { durationText } from '../../shared/config/scalars.ts';
import { redactSecrets } from './secrets.ts';

/** One changed key. `from` and `to` are texts for people without secrets; absent: the key did not exist. */
export interface ConfigChange {
  /** Dotted, with ids and names instead of positions: `services.web.rateLimits.per-ip.limit`. */
  key: string;
  /** Empty: the change concerns the whole site. */
  service: string;
  from?: string;
  to?: string;
  /** `web.rateLimits.per-ip.limit: 20 → 500` */
  text: string;
  restartOnly: boolean;
}

export function configChanges(before: Config, after: Config): ConfigChange[] {
  return differences(before, after, []).map(({ path, from, to }) => {
    const key = path.join('.');
    const restartOnly = isRestartOnly(key);
    const was = from === undefined ? undefined : show(from, path);
    const is = to === undefined ? undefined : show(to, path);
    const line = `${shortKey(path)}: ${transitionText(was, is)}`;
    return {
      key,
      service: path[0] === 'services' ? (path[1] ?? '') : '',
      ...(was !== undefined && { from: was }),
      ...(is !== undefined && { to: is }),
      text: restartOnly ? `${line} (takes effect when the agent restarts)` : line,
      restartOnly,
    };
  });
}

function transitionText(from: string | undefined, to: string | undefined): string {
  if (from === undefined) return `added ${to ?? ''}`.trimEnd();
  return to === undefined ? `removed, was ${from}` : `${from} → ${to}`;
}

const SITE_SECTIONS = new Set(['version', 'site', 'agent', 'edge', 'haproxy', 'registry', 'alerts']);

/** A key of a service starts with the id of the service, unless that reads like a section of the file. */
function shortKey(path: readonly string[]): string {
  const [section, service = ''] = path;
  const short = section === 'services' && path.length > 2 && !SITE_SECTIONS.has(service);
  return path.slice(short ? 1 : 0).join('.');
}

interface ConfigDifference {
  path: string[];
  from: unknown;
  to: unknown;
}

function differences(before: unknown, after: unknown, path: string[]): ConfigDifference[] {
  if (Object.is(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) {
    const key = (['id', 'name'] as const).find((name) => isKeyedBy(name, [...before, ...after]));
    if (key) return differences(keyedBy(key, before), keyedBy(key, after), path);
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, from: before, to: after }];
  }
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => differences(before[key], after[key], [...path, key]));
  }
  return [{ path, from: before, to: after }];
}

type PlainObject = { [key: string]: unknown };

const isObject = (value: unknown): value is PlainObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether the items are objects, each with a text in this field. */
const isKeyedBy = (field: string, list: readonly unknown[]): boolean =>
  list.length > 0 && list.every((item) => isObject(item) && typeof item[field] === 'string');

const keyedBy = (field: string, list: readonly unknown[]): PlainObject =>
  Object.fromEntries(list.filter(isObject).map((item) => [String(item[field]), item]));

/** Keys that hold a duration: text such as `10s` in the file, milliseconds in the program. */
const DURATION_KEYS = new Set([
  'backoff',
  'deadline',
  'fastInterval',
  'idle',
  'interval',
  'maxOpenFor',
  'openFor',
  'slowBy',
  'slowCall',
  'slowStart',
  'staleIfError',
  'timeout',
  'ttl',
  'window',
]);

function show(value: unknown, path: readonly string[]): string {
  const isDuration = DURATION_KEYS.has(path.at(-1) ?? '') || path.at(-2) === 'timeouts';
  if (isDuration && typeof value === 'number') return durationText(value);
  const json = JSON.stringify(redactSecrets(value, path));
  return json.length > 100 ? `${json.slice(0, 97)}...` : json;
}
