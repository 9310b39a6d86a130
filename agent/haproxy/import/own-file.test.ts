import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { ownFileProblems } from './own-file.ts';

const config = parseConfig(`version: 1
site: { id: main }
services:
  web: { routes: [/], instances: [{ id: w1, url: "http://10.0.0.1:80" }] }
haproxy: { mode: beside }
`);

const COMPLETE = `global
    stats socket /run/haproxy/admin.sock mode 660 level admin
    log 127.0.0.1:9401 len 512 format raw local1 info
    tune.bufsize 32768
defaults
    mode http
    log global
    option httplog
frontend www
    bind :80
    default_backend web
frontend other
    bind :81
    no log
    default_backend elsewhere
`;
const detailsOf = (text: string) =>
  ownFileProblems(text, config).map(({ severity, detail, mend }) => `${severity}: ${detail} → ${mend}`);

test('a file with all lines has no problem', () => {
  expect(detailsOf(COMPLETE)).toEqual([]);
  expect(detailsOf(COMPLETE.replace('mode 660', 'mode 0770'))).toEqual([]);
});

test.each([
  [
    ' level admin',
    '',
    'fail: the section global lacks: stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin expose-fd listeners → add the line',
  ],
  [
    'mode 660',
    'mode 600',
    "warn: HAProxy's group cannot use the socket: stats socket /run/haproxy/admin.sock mode 600 level admin → write in this line: mode 660 group haproxy",
  ],
  [
    'format raw',
    '',
    'fail: the section global lacks: log 127.0.0.1:9401 len 512 format raw local1 info → add the line',
  ],
  ['tune.bufsize 32768', '', 'warn: tune.bufsize is 16384'],
  ['    option httplog\n', '', 'warn: the log of frontend www does not reach the agent'],
  ['    log global\n', '', 'add to the section or to its defaults: log global'],
  ['option httplog', 'log-format "%ci"', 'replace log-format by option httplog'],
  [
    'default_backend web',
    'default_backend mine',
    'warn: no frontend of your own uses web → add to a frontend: use_backend web',
  ],
])('without %s: the exact line is named', (from, to, problem) => {
  const found = detailsOf(COMPLETE.replace(from, to));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(problem);
});

test('a frontend that uses the counter of the rate limit is named', () => {
  const limited = { ...config, haproxy: { ...config.haproxy, rateLimit: { limit: 20, windowMs: 10_000 } } };
  const tracking = COMPLETE.replace('bind :80', 'bind :80\n    http-request track-sc2 src table mine');
  expect(ownFileProblems(tracking, config)).toEqual([]);
  expect(ownFileProblems(COMPLETE, limited)).toEqual([]);
  expect(ownFileProblems(tracking, limited)).toMatchObject([
    {
      severity: 'warn',
      detail: 'frontend www uses track-sc2, so haproxy.rateLimit does not apply to its requests',
    },
  ]);
});
