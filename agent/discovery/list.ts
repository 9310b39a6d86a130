import { createHash } from 'node:crypto';
import { valueText } from '../../shared/config/problem.ts';
import { ID_PATTERN } from '../../shared/config/scalars.ts';
import type { Registration } from '../core/state.ts';
import type { ListedInstance } from './source.ts';

/** What a source lists, as registrations. A list with problems is incomplete: it adds instances and removes none. */
export interface InstanceList {
  registrations: Registration[];
  problems: string[];
}

export interface ListScope {
  service: string;
  /** The source, for people: "dns web.internal". */
  source: string;
}

/** Turns entries into registrations with ids. Repeated entries count once. */
export function toInstanceList(
  entries: readonly ListedInstance[],
  problems: readonly string[],
  scope: ListScope,
): InstanceList {
  const byId = new Map<string, Registration>();
  const idByUrl = new Map<string, string>();
  const found = [...problems];
  for (const { id: given, ...entry } of entries) {
    const id = given ?? instanceId(scope.service, entry.url);
    const before = byId.get(id);
    const other = idByUrl.get(entry.url);
    if (before && before.url !== entry.url) {
      found.push(`the id ${valueText(id)} is listed twice, with ${before.url} and ${entry.url}`);
    } else if (other !== undefined && other !== id) {
      found.push(`${entry.url} is listed twice, as ${other} and ${id}`);
    } else if (!before) {
      idByUrl.set(entry.url, id);
      byId.set(id, {
        ...entry,
        id,
        service: scope.service,
        source: scope.source,
        metadata: entry.metadata ?? {},
      });
    }
  }
  return { registrations: [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)), problems: found };
}

/** The same on every agent: `web-10.0.0.5-8080`. */
export function instanceId(service: string, url: string): string {
  const { hostname, port, protocol } = new URL(url);
  const address = hostname.replace(/^\[|\]$/g, '').replaceAll(':', '-');
  const id = `${service}-${address}-${port || (protocol === 'https:' ? 443 : 80)}`;
  if (ID_PATTERN.test(id)) return id;
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 16);
  return `${service.slice(0, 40)}-${hash}`;
}
