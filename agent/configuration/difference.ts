import type { Config } from '../../shared/config/config.ts';
import { isRestartOnly } from '../../shared/config/restart-only.ts';
import { redactSecrets } from './secrets.ts';

/** The differences between two configurations, one line each: `services.gs.timeout: 60000 → 45000`. */
export function describeConfigChanges(before: Config, after: Config): string[] {
  return differences(before, after, []).map(({ path, from, to }) => {
    const dotted = path.join('.');
    const line = `${dotted}: ${show(from, path)} → ${show(to, path)}`;
    return isRestartOnly(dotted) ? `${line} (takes effect when the agent restarts)` : line;
  });
}

interface ConfigDifference {
  path: string[];
  from: unknown;
  to: unknown;
}

function differences(before: unknown, after: unknown, path: string[]): ConfigDifference[] {
  if (Object.is(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) {
    if (haveIds(before) && haveIds(after)) return differences(byId(before), byId(after), path);
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
const haveIds = (list: unknown[]): list is { id: string }[] =>
  list.length > 0 && list.every((item) => isObject(item) && typeof item.id === 'string');
const byId = (list: { id: string }[]): PlainObject => Object.fromEntries(list.map((item) => [item.id, item]));

function show(value: unknown, path: readonly string[]): string {
  if (value === undefined) return 'nothing';
  const json = JSON.stringify(redactSecrets(value, path));
  return json.length > 100 ? `${json.slice(0, 97)}...` : json;
}
