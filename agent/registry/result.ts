import type { Instance } from '../core/state.ts';

/** The result of a request. A refusal carries the reason for the caller. */
export type RegistryResult =
  | { ok: true; instance: Instance; created: boolean }
  | { ok: false; why: 'unknown' | 'conflict' | 'invalid' | 'unsaved'; detail: string };

/** `detail` names the service or the instance that does not exist. */
export const unknownName = (detail: string): RegistryResult => ({ ok: false, why: 'unknown', detail });

export const conflict = (detail: string): RegistryResult => ({ ok: false, why: 'conflict', detail });

type InstanceAddress = Pick<Instance, 'service' | 'id' | 'url'>;

/** Whether two instances cannot both exist: an id is unique in the site, and an address is unique in its service. */
export const conflictsWith = (a: InstanceAddress, b: InstanceAddress): boolean =>
  a.id === b.id ? a.service !== b.service : a.service === b.service && a.url === b.url;

export function conflictDetail(other: Instance, { service, id, url }: InstanceAddress): string {
  const listed = `is listed by ${other.source ?? 'its source'}`;
  const origin = { file: 'is in the configuration file', api: 'is registered', discovered: listed }[
    other.origin
  ];
  if (other.id !== id) return `${url} is the address of ${other.id} of ${other.service}, which ${origin}`;
  if (other.service !== service) return `the id ${id} is in use by an instance of ${other.service}`;
  return other.origin !== 'api'
    ? `${id} of ${service} ${origin}, with the address ${other.url}`
    : `${id} of ${service} is registered with a different body (${other.url}); deregister it first`;
}
