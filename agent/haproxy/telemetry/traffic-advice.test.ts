import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { trafficAdvice } from './traffic-advice.ts';

const config = (more: string) =>
  parseConfig(`version: 1
site: { id: main }
services:
  gs: { routes: [/], ${more} instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] }
`);
const held = [
  { service: 'gs', path: '/poll' },
  { service: 'gs', path: '/chat' },
  { service: 'gone', path: '/x' },
];
const lostCookies = [{ service: 'gs', lost: 0.9, rejected: 0.42 }];

test('one advice for each service and kind, with what to set', () => {
  expect(trafficAdvice(config(''), { held, lostCookies })).toEqual([
    {
      service: 'gs',
      message: expect.stringMatching(
        /^90 % of the requests come from clients .* and 42 % of those get a 4xx/,
      ),
      action: 'If its instances keep sessions, set services.gs.affinity to { by: ip }.',
    },
    {
      service: 'gs',
      message: expect.stringContaining('answers of /chat, /poll are held'),
      action: 'If that is intended, set services.gs.longLived.paths to [/chat, /poll].',
    },
  ]);
});

test('what the file already sets is left out', () => {
  const set = config('affinity: { by: ip }, longLived: { paths: [/poll, /chat] },');
  expect(trafficAdvice(set, { held, lostCookies })).toEqual([]);
});
