import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Config } from '../../../shared/config/config.ts';
import { parseConfig } from '../../../shared/config/load.ts';
import { compileRoutes } from '../../../shared/route.ts';
import { routeMaps } from './routes.ts';

/** HAProxy's lookup in the maps: the value of the longest key that is a prefix of the text. */
function haproxyRoute(config: Config, host: string, path: string): string | null {
  const { routes, hosts } = routeMaps(config);
  const known = hosts.split('\n').includes(`${host} 1`);
  const text = `${known ? host : ''}${path}/`;
  const entries = routes.split('\n').flatMap((line) => (line ? [line.split(' ') as [string, string]] : []));
  const found = entries.filter(([key]) => text.startsWith(key)).sort(([a], [b]) => b.length - a.length)[0];
  return found?.[1] ?? null;
}

const segment = fc.constantFrom('a', 'b', 'ab', 'api', 'v1');
const prefix = fc.array(segment, { maxLength: 3 }).map((segments) => `/${segments.join('/')}`);
const host = fc.constantFrom('x.example', 'y.example', 'other.example');
const service = fc.record({
  routes: fc.uniqueArray(prefix, { minLength: 1, maxLength: 3 }),
  hosts: fc.uniqueArray(host, { maxLength: 2 }),
});

test('HAProxy and the edge send every request to the same service', () => {
  const files = fc.array(service, { minLength: 1, maxLength: 5 });
  const paths = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
  let tested = 0;
  fc.assert(
    fc.property(
      files,
      fc.array(fc.tuple(host, paths), { minLength: 5, maxLength: 20 }),
      (services, requests) => {
        const config = configOf(services);
        if (!config) return;
        tested += 1;
        const edge = compileRoutes(Object.values(config.services));
        for (const [name, path] of requests) {
          expect(`${name}${path} ${haproxyRoute(config, name, path)}`).toBe(
            `${name}${path} ${edge(name, path)?.id ?? null}`,
          );
        }
      },
    ),
    { numRuns: 100, seed: 1 },
  );
  expect(tested).toBeGreaterThan(20);
});

/** Null where two services have the same route: such a file is invalid. */
function configOf(services: { routes: string[]; hosts: string[] }[]): Config | null {
  const entries = services.map(({ routes, hosts }, index) => [
    `s${index}`,
    { routes, ...(hosts.length > 0 && { hosts }) },
  ]);
  try {
    return parseConfig(
      JSON.stringify({ version: 1, site: { id: 'main' }, services: Object.fromEntries(entries) }),
    );
  } catch {
    return null;
  }
}
