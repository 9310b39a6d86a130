import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { Instance } from './state.ts';
import { unknownInstanceText, unknownServiceText } from './unknown-name.ts';

const { services } = parseConfig(`
version: 1
site: { id: main }
services:
  web: { routes: [/], instances: [] }
  api: { routes: [/api], instances: [] }
`);
const instances = (count: number): ReadonlyMap<string, Instance> =>
  new Map(
    Array.from({ length: count }, (_, index) => {
      const id = `web-${index + 1}`;
      return [`web/${id}`, { service: 'web', id } as Instance];
    }),
  );

test('an unknown name comes with the names that exist, at most twenty', () => {
  expect(unknownServiceText('wbe', { services })).toBe('unknown service "wbe"; expected one of web, api');
  const of = (service: string, count: number) =>
    unknownInstanceText(service, 'x', { services, instances: instances(count) });
  expect(of('toString', 2)).toBe('unknown service "toString"; expected one of web, api');
  expect(of('web', 2)).toBe('service "web" has no instance "x"; expected one of web-1, web-2');
  expect(of('web', 25)).toMatch(/web-20 and 5 more$/);
  expect(of('api', 2)).toBe('service "api" has no instance');
});
