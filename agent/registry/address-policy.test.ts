import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { type InstanceUrls, isAddressAllowed, urlPolicyViolation } from './address-policy.ts';

const violationOf = (urls: InstanceUrls, addresses: string[] | null = null, more = '') =>
  urlPolicyViolation(
    urls,
    parseConfig(`
version: 1
site: { id: main, gateways: ["http://gateway.internal:8090", "http://10.0.0.4:80"] }
edge: { url: "http://127.0.0.1:8787" }
services: { web: { routes: [/] } }
registry: { allowNetworks: ["127.0.0.0/8", "10.0.0.0/8", "::1/128", "fc00::/7"] }
${more}`),
    async () => addresses ?? Promise.reject(new Error('ENOTFOUND')),
  );
const PRIVATE = ['127.0.0.0/8', '10.0.0.0/8', '::1/128', 'fc00::/7'];

test.each([
  ['10.1.2.3', true],
  ['::1', true],
  ['fd00::7', true],
  ['::ffff:10.0.0.1', true],
  ['8.8.8.8', false],
  ['::ffff:8.8.8.8', false],
  ['169.254.169.254', false],
  ['fe80::1', false],
  ['fd00:ec2::254', false],
  ['0.0.0.0', false],
])('%s: %s', (address, allowed) => {
  expect(isAddressAllowed(address, PRIVATE)).toBe(allowed);
});

test('a link-local address is refused even if it is listed', () => {
  expect(isAddressAllowed('169.254.169.254', ['0.0.0.0/0'])).toBe(false);
});

test('all addresses of a host name must be allowed', async () => {
  const url = 'http://gs.internal:8004';
  expect(await violationOf({ url }, ['10.0.0.1', '10.0.0.2'])).toBeNull();
  expect(await violationOf({ url }, ['10.0.0.1', '1.1.1.1'])).toContain('gs.internal (1.1.1.1) is outside');
  expect(await violationOf({ url })).toContain('cannot be resolved');
});

const OWN_ADDRESS = Object.values(networkInterfaces())
  .flatMap((found) => found ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

test.each([
  [
    "the agent's API, which would become public",
    'http://127.0.0.1:9400',
    "the agent's API has 127.0.0.1:9400",
  ],
  ['another spelling of loopback', 'http://[::ffff:127.0.0.1]:9400', "the agent's API has"],
  ['the gateway, a circle', 'http://127.0.0.1:8090', 'the gateway has 127.0.0.1:8090'],
  ['a listener on all addresses', 'http://127.8.8.8:8080', "HAProxy's statistics has *:8080"],
  ['the agent-check', 'http://[::1]:9401', 'the agent-check has'],
  ['the edge', 'http://127.0.0.1:8787', 'the edge has http://127.0.0.1:8787'],
  ['a gateway on another host', 'http://10.0.0.4', 'a gateway of the site has http://10.0.0.4'],
])('no instance registers the address of %s', async (_what, url, expected) => {
  const stats = 'haproxy: { stats: "*:8080" }';
  expect(await violationOf({ url }, null, stats)).toContain(expected);
  expect(await violationOf({ url: 'http://10.0.0.7', publicUrl: url }, null, stats)).toContain(expected);
  expect(await violationOf({ url: 'http://127.0.0.1:8004' }, null, stats)).toBeNull();
});

test('a host name does not hide the address of a listener', async () => {
  expect(await violationOf({ url: 'http://gs.internal:9400' }, ['10.0.0.1', '127.0.0.1'])).toContain(
    "the agent's API",
  );
  expect(await violationOf({ url: 'http://gateway.internal:8090' }, ['10.0.0.9'])).toContain('a gateway');
  expect(await violationOf({ url: 'http://gs.internal:9400' }, ['10.0.0.1'])).toBeNull();
});

test.skipIf(OWN_ADDRESS === undefined)('a listener on all addresses has those of the host too', async () => {
  const more = `haproxy: { stats: "*:8080" }\nregistry: { allowNetworks: ["0.0.0.0/0"] }`;
  const config = parseConfig(`version: 1\nsite: { id: main }\nservices: { web: { routes: [/] } }\n${more}`);
  expect(await urlPolicyViolation({ url: `http://${OWN_ADDRESS}:8080` }, config)).toContain('statistics');
});

test('the edge is sent to no link-local address either', async () => {
  const publicUrl = 'http://169.254.169.254';
  expect(await violationOf({ url: 'http://10.0.0.7', publicUrl })).toContain('169.254.169.254 is never');
  expect(await violationOf({ url: 'http://10.0.0.7', publicUrl: 'https://198.51.100.7' })).toBeNull();
});
