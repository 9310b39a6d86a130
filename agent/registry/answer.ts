import type { Instance, Registration } from '../state.ts';

/** What a wish came to. Refusals carry the reason for the caller. */
export type Answer =
  | { ok: true; instance: Instance; created: boolean }
  | { ok: false; why: 'unknown' | 'conflict' | 'invalid'; detail: string };

export const unknown = (service: string, id: string): Answer => ({
  ok: false,
  why: 'unknown',
  detail: `service "${service}" has no instance "${id}"`,
});

export function conflictText(other: Instance, { service, id, url }: Registration): string {
  const fromFile = other.origin === 'file';
  if (other.id !== id) {
    return `${url} is the address of ${other.id} of ${other.service}, which ${fromFile ? 'stands in the configuration file' : 'is registered'}`;
  }
  if (other.service !== service) return `the id ${id} is taken, by an instance of ${other.service}`;
  return fromFile
    ? `${id} of ${service} stands in the configuration file, with ${other.url}`
    : `${id} of ${service} is registered with another body (${other.url}); deregister it first`;
}
