import { coversPath } from './path.ts';

interface RouteTarget {
  routes: readonly string[];
  hosts?: readonly string[];
}

/** Finds the service for a request. `host` is in lower case without port, `path` without query. */
export type Router<T> = (host: string, path: string) => T | null;

/**
 * The longest prefix wins. Of two equal prefixes, the one bound to the request's host wins. Prefixes are indexed by their
 * first segment, so the cost of a lookup does not grow with the number of services.
 */
export function compileRoutes<T extends RouteTarget>(services: Iterable<T>): Router<T> {
  const anyHost = new PrefixIndex<T>();
  const byHost = new Map<string, PrefixIndex<T>>();
  for (const service of services) {
    for (const prefix of service.routes) {
      if (!service.hosts?.length) anyHost.add(prefix, service);
      for (const host of service.hosts ?? []) {
        let bucket = byHost.get(host);
        if (!bucket) {
          bucket = new PrefixIndex<T>();
          byHost.set(host, bucket);
        }
        bucket.add(prefix, service);
      }
    }
  }
  if (byHost.size === 0) return (_, path) => anyHost.find(path)?.target ?? null;
  return (host, path) => {
    const own = byHost.get(host)?.find(path);
    const shared = anyHost.find(path);
    if (own && (!shared || own.prefix.length >= shared.prefix.length)) return own.target;
    return shared?.target ?? null;
  };
}

interface RouteEntry<T> {
  prefix: string;
  target: T;
}

class PrefixIndex<T> {
  readonly #bySegment = new Map<string, RouteEntry<T>[]>();
  #root: RouteEntry<T> | null = null;

  add(prefix: string, target: T): void {
    if (prefix === '/') {
      this.#root = { prefix, target };
      return;
    }
    const segment = firstSegment(prefix);
    const entries = this.#bySegment.get(segment) ?? [];
    entries.push({ prefix, target });
    entries.sort((a, b) => b.prefix.length - a.prefix.length);
    this.#bySegment.set(segment, entries);
  }

  find(path: string): RouteEntry<T> | null {
    const entries = this.#bySegment.get(firstSegment(path));
    if (entries) for (const entry of entries) if (coversPath(entry.prefix, path)) return entry;
    return this.#root;
  }
}

function firstSegment(path: string): string {
  const end = path.indexOf('/', 1);
  return end < 0 ? path : path.slice(0, end);
}
