import type { Instance } from '../core/state.ts';

/** What a wish came to. Refusals carry the reason for the caller. */
export type RegistryResult =
  | { ok: true; instance: Instance; created: boolean }
  | { ok: false; why: 'unknown' | 'conflict' | 'invalid' | 'unsaved'; detail: string };

export const unknownInstance = (service: string, id: string): RegistryResult => ({
  ok: false,
  why: 'unknown',
  detail: `service "${service}" has no instance "${id}"`,
});

type Named = Pick<Instance, 'service' | 'id' | 'url'>;

/** Whether two instances cannot stand side by side: an id is one instance's in the whole site, an address in its service. */
export const conflictsWith = (a: Named, b: Named): boolean =>
  a.id === b.id ? a.service !== b.service : a.service === b.service && a.url === b.url;

export function conflictDetail(other: Instance, { service, id, url }: Named): string {
  const fromFile = other.origin === 'file';
  if (other.id !== id) {
    return `${url} is the address of ${other.id} of ${other.service}, which ${fromFile ? 'stands in the configuration file' : 'is registered'}`;
  }
  if (other.service !== service) return `the id ${id} is taken, by an instance of ${other.service}`;
  return fromFile
    ? `${id} of ${service} stands in the configuration file, with ${other.url}`
    : `${id} of ${service} is registered with another body (${other.url}); deregister it first`;
}
