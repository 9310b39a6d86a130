import type { Config } from '../../shared/config/config.ts';
import type { Instance } from './state.ts';

interface KnownNames {
  services: Config['services'];
  instances: ReadonlyMap<string, Instance>;
}

/** Names that an error lists. */
const MAX_NAMES = 20;

export const unknownServiceText = (id: string, { services }: Pick<KnownNames, 'services'>): string =>
  `unknown service "${id}"; ${expectedNames(Object.keys(services))}`;

/** An unknown service is named first: no instance of it can exist. */
export function unknownInstanceText(service: string, id: string, known: KnownNames): string {
  if (!Object.hasOwn(known.services, service)) return unknownServiceText(service, known);
  const names = known.instances
    .values()
    .filter((instance) => instance.service === service)
    .map((instance) => instance.id)
    .toArray();
  if (names.length === 0) return `service "${service}" has no instance`;
  return `service "${service}" has no instance "${id}"; ${expectedNames(names)}`;
}

function expectedNames(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return `expected one of ${names.slice(0, MAX_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
