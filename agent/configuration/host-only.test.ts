import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { secretReferences } from '../../shared/config/secret-references.ts';
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

const SECRET = `$\{SECRET}`;
/** Every section in which `${NAME}` stands for a variable: its value may be a secret of the agent. */
const REFERENCES: [key: string, file: object][] = [
  ['alerts.receivers', { alerts: { receivers: { hook: { type: 'webhook', url: SECRET } } } }],
  ['alerts.heartbeat', { alerts: { heartbeat: { url: SECRET } } }],
  ['telemetry.otlp', { telemetry: { otlp: { url: 'http://192.0.2.1', headers: { 'x-a': SECRET } } } }],
];

test.each(REFERENCES)(
  '%s sends secrets of the environment, so it is set in the file only',
  (key, section) => {
    const file = (more: object) =>
      parseConfig(
        JSON.stringify({ version: 1, site: { id: 'main' }, services: { web: { routes: ['/'] } }, ...more }),
      );
    expect(secretReferences(file(section))).toMatchObject([{ name: 'SECRET' }]);
    expect(() => refuseHostOnlyChanges(file({}), file(section))).toThrow(
      `${key}: cannot be changed through the API`,
    );
    expect(() => refuseHostOnlyChanges(file(section), file(section))).not.toThrow();
  },
);

test('the files of probes are set in the file only: the agent reads them, and HAProxy gets the key', () => {
  const web = (tls: object) => configOf({ health: { tls } });
  const change = (before: object, after: object) => () => refuseHostOnlyChanges(web(before), web(after));
  expect(change({}, { ca: '/dev/zero' })).toThrow('services.web.health.tls.ca: cannot be changed');
  expect(change({}, { cert: '/a', key: '/var/lib/acgs-lb/key' })).toThrow(
    /services\.web\.health\.tls\.cert: .*\n.*services\.web\.health\.tls\.key: /,
  );
  expect(change({ ca: '/a' }, {})).toThrow('services.web.health.tls.ca: cannot be changed');
  expect(change({ ca: '/a' }, { ca: '/a', serverName: 'web.internal', verify: false })).not.toThrow();
});
