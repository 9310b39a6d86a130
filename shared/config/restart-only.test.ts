import { expect, it } from 'vitest';
import { parseConfig } from './load.ts';
import { isRestartOnly, keepRestartOnlyValues } from './restart-only.ts';

it.each([
  ['agent.bind', true],
  ['edge.publish.kvApi', true],
  ['site.id', true],
  ['site.identity', false],
  ['site.weight', false],
  ['haproxy.socket', true],
  ['haproxy.bind', false],
])('%s is restart-only: %s', (key, expected) => {
  expect(isRestartOnly(key)).toBe(expected);
});

it('keeps restart-only values and takes every other one', () => {
  const config = (site: string, haproxy: string, agent: string) =>
    parseConfig(
      `version: 1\nsite: { ${site} }\nservices: { web: { routes: [/] } }\nhaproxy: { ${haproxy} }\nagent: { ${agent} }\n`,
    );
  const current = config('id: a, weight: 1', 'socket: /a, threads: 1', 'bind: "127.0.0.1:1"');
  const next = config('id: b, weight: 2', 'socket: /b, threads: 2', 'bind: "127.0.0.1:2"');
  const kept = keepRestartOnlyValues(current, next);
  expect(kept).toMatchObject({
    site: { id: 'a', weight: 2 },
    haproxy: { socket: '/a', threads: 2 },
    agent: { bind: '127.0.0.1:1' },
  });
  expect(next.site.id).toBe('b');
});
