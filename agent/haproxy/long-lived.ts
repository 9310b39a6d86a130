/*
 * HAProxy has a second backend for each service, with the same servers and its own limits. It gets the connections that
 * stay open for long: they cause little load, and must not take connections from ordinary requests.
 */

/** No service id contains a colon. */
const SUFFIX = ':long';

export const longLivedBackend = (service: string): string => `${service}${SUFFIX}`;

export const isLongLivedBackend = (backend: string): boolean => backend.endsWith(SUFFIX);

/** The service whose connections the backend gets. */
export const serviceOfBackend = (backend: string): string =>
  isLongLivedBackend(backend) ? backend.slice(0, -SUFFIX.length) : backend;

/** The backends of these services, two for each. */
export const backendsOf = (services: Iterable<string>): Set<string> =>
  new Set([...services].flatMap((service) => [service, longLivedBackend(service)]));
