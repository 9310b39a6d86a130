import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { configChanges } from './difference.ts';
import { redactSecrets } from './secrets.ts';

const config = (secret: string) =>
  parseConfig(`
version: 1
site: { id: main }
services:
  gs: { routes: [/], health: { headers: { Authorization: "Bearer ${secret}", Host: gs.example } } }
alerts:
  receivers:
    hook: { type: webhook, url: "https://hooks.example/${secret}", headers: { X-Caller: ${secret} } }
  routes: [ { severities: [critical], to: [hook] } ]
haproxy: { extra: { other: "userlist ops\\n  user op insecure-password ${secret}", services: { gs: "stats auth a:${secret}" } } }
telemetry: { otlp: { url: "https://otlp.example/${secret}", headers: { X-Team: ${secret} } } }
`);

test('secrets in the file are hidden', () => {
  const shown = JSON.stringify(redactSecrets(config('s3cret')));
  expect(shown).not.toContain('s3cret');
  expect(shown).toContain('gs.example');
  expect(shown).toContain('https://hooks.example/(hidden)');
});

test('a change of a secret is reported without its values', () => {
  const changes = configChanges(config('s3cret-1'), config('s3cret-2')).map(({ text }) => text);
  expect(changes.toSorted()).toEqual([
    'alerts.receivers.hook.headers.x-caller: "(hidden)" → "(hidden)"',
    'alerts.receivers.hook.url: "https://hooks.example/(hidden)" → "https://hooks.example/(hidden)"',
    'gs.health.headers.authorization: "(hidden)" → "(hidden)"',
    String.raw`haproxy.extra.other: "userlist ops\n  user op insecure-password (hidden)" → "userlist ops\n  user op insecure-password (hidden)"`,
    'haproxy.extra.services.gs: "stats auth (hidden)" → "stats auth (hidden)"',
    'telemetry.otlp.headers.x-team: "(hidden)" → "(hidden)"',
    'telemetry.otlp.url: "https://otlp.example/(hidden)" → "https://otlp.example/(hidden)"',
  ]);
  const withoutSecrets = parseConfig('version: 1\nsite: { id: main }\nservices: { fv: { routes: [/] } }');
  expect(JSON.stringify(configChanges(withoutSecrets, config('s3cret-1')))).not.toContain('s3cret');
});
