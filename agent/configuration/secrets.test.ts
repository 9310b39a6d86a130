import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { describeConfigChanges } from './difference.ts';
import { redactSecrets } from './secrets.ts';

const config = (secret: string) =>
  parseConfig(`
version: 1
site: { id: main }
services:
  gs: { routes: [/], health: { headers: { Authorization: "Bearer ${secret}", Host: gs.example } } }
alerts:
  receivers:
    hook: { type: webhook, url: "https://hooks.example/${secret}", headers: { X-Key: ${secret} } }
  routes: [ { severities: [critical], to: [hook] } ]
`);

test('credentials in the file are in no answer and no log', () => {
  const shown = JSON.stringify(redactSecrets(config('s3cret')));
  expect(shown).not.toContain('s3cret');
  expect(shown).toContain('gs.example');
  expect(shown).toContain('https://hooks.example/(hidden)');
});

test('that they changed is told, and not to what', () => {
  const told = describeConfigChanges(config('s3cret-1'), config('s3cret-2'));
  expect(told.toSorted()).toEqual([
    'alerts.receivers.hook.headers.X-Key: "(hidden)" → "(hidden)"',
    'alerts.receivers.hook.url: "https://hooks.example/(hidden)" → "https://hooks.example/(hidden)"',
    'services.gs.health.headers.authorization: "(hidden)" → "(hidden)"',
  ]);
  const none = parseConfig('version: 1\nsite: { id: main }\nservices: { fv: { routes: [/] } }');
  expect(describeConfigChanges(none, config('s3cret-1')).join()).not.toContain('s3cret');
});
