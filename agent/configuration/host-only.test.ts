import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { refuseHostOnlyChanges } from './host-only.ts';

const BASE = 'version: 1\nsite: { id: main }\nservices: { gs: { routes: [/] } }\n';
const current = parseConfig(BASE);
const apply = (more: string) => refuseHostOnlyChanges(current, parseConfig(BASE + more));

test.each([
  ['alerts.receivers', 'alerts: { receivers: { log: { type: command, argv: [sh, -c, id] } } }'],
  ['alerts.receivers', 'alerts: { receivers: { other: { type: log } } }'],
  ['alerts.heartbeat', "alerts: { heartbeat: { url: 'https://attacker.example/' } }"],
  ['haproxy.mode', 'haproxy: { mode: beside, file: /etc/haproxy/haproxy.cfg, mainFile: /m }'],
  ['haproxy.mainFile', 'haproxy: { mainFile: /etc/shadow }'],
  ['haproxy.extra', 'haproxy: { extra: { global: external-check } }'],
  ['haproxy.file', 'haproxy: { file: /etc/cron.d/x }'],
  ['haproxy.socket', 'haproxy: { socket: /tmp/other.sock }'],
  ['haproxy.masterSocket', 'haproxy: { masterSocket: /tmp/other.sock }'],
  ['haproxy.others', "haproxy: { others: [{ name: x, socket: '192.0.2.1:1' }] }"],
  ['haproxy.log', "haproxy: { log: '192.0.2.1:514' }"],
  ['haproxy.tls.crt', 'haproxy: { tls: { crt: /etc/shadow } }'],
])('%s cannot be changed through the API', (key, more) => {
  expect(() => apply(more)).toThrow(`${key}: cannot be changed through the API`);
});

test('other keys can', () => {
  expect(() => apply('haproxy: { maxconn: 2000 }\nmonitor: { window: 30s }')).not.toThrow();
});
