import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { refuseHostOnlyChanges } from './host-only.ts';

const configOf = (web: object) =>
  parseConfig(
    JSON.stringify({ version: 1, site: { id: 'main' }, services: { web: { routes: ['/'], ...web } } }),
  );

test('a source that reads files, uses sockets or sends secrets is set in the file only', () => {
  const dns = { dns: 'web.internal', port: 80 };
  const change = (before: object, after: object) => () =>
    refuseHostOnlyChanges(configOf(before), configOf(after));
  const key = /services\.web\.instancesFrom: cannot be changed through the API/;
  for (const source of [
    { file: '/etc/shadow' },
    { consul: 'web', server: 'http://10.0.0.1' },
    { docker: { app: 'web' } },
    { ...dns, server: '10.0.0.1:53' },
  ]) {
    expect(change({}, { instancesFrom: source })).toThrow(key);
    expect(change({ instancesFrom: source }, {})).toThrow(key);
    expect(change({ instancesFrom: source }, { instancesFrom: source, maxconn: 5 })).not.toThrow();
  }
  expect(change({}, { instancesFrom: dns })).not.toThrow();
});
