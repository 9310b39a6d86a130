import { request } from 'node:http';
import { expect, test } from 'vitest';
import { ADMIN_PATHS, OTHER_PATHS, RULE_PATHS } from '../vectors/access.ts';
import { type HaproxyHarness, startBeforeTests, startHaproxyHarness } from './haproxy-harness.ts';

/** No instance listens there: a request that may pass gets 503. */
const INSTANCE = 'http://127.0.0.1:9';
const RULES = [...new Set(['/admin', ...RULE_PATHS.map(([rule]) => rule)])];

let harness: HaproxyHarness;
startBeforeTests(async () => {
  const rules = [
    ...RULES.map((path) => `{ path: "${path}", deny: [127.0.0.0/8] }`),
    '{ path: /only-here, allow: [127.0.0.0/8] }',
    '{ path: /not-there, deny: [192.0.2.0/24] }',
  ];
  harness = await startHaproxyHarness({
    services: `web: { routes: [/], access: [${rules.join(', ')}], instances: [{ id: w, url: "${INSTANCE}" }] }`,
    haproxy: 'rateLimit: off',
  });
});

/** `fetch` would resolve dot segments. */
const statusOf = (path: string, headers = {}): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(harness.gateway);
    request({ hostname, port, path, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });

test('HAProxy denies every path that the edge denies, and no other', async () => {
  const wrong: string[] = [];
  const vectors = [
    ...ADMIN_PATHS,
    ...RULE_PATHS.map(([, path]) => [path, true] as const),
    ...OTHER_PATHS.map(([, path]) => [path, false] as const),
  ];
  for (const [path, covered] of vectors) {
    const status = await statusOf(path);
    // 400: rejected before the rules, for a dot segment or an invalid escape.
    const denied = status === 403 || status === 400;
    if (denied !== covered) wrong.push(`${path}: ${status}`);
  }
  expect(wrong).toEqual([]);
});

test('paths with rules are closed to the clients of an edge that has neither a snapshot nor a key', async () => {
  const fromEdge = { 'x-acgs-fallback': '1' };
  for (const path of ['/only-here', '/only-here/x', '/%6fnly-here', '/not-there']) {
    expect([path, await statusOf(path), await statusOf(path, fromEdge)]).toEqual([path, 503, 403]);
  }
  expect(await statusOf('/elsewhere', fromEdge)).toBe(503);
});
