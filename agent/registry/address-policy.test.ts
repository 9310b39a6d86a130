import { expect, test } from 'vitest';
import { isAddressAllowed, urlPolicyViolation } from './address-policy.ts';

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
  const resolves =
    (...addresses: string[]) =>
    async () =>
      addresses;
  expect(
    await urlPolicyViolation('http://gs.internal:8004', PRIVATE, resolves('10.0.0.1', '10.0.0.2')),
  ).toBeNull();
  expect(await urlPolicyViolation('http://gs.internal', PRIVATE, resolves('10.0.0.1', '1.1.1.1'))).toContain(
    'gs.internal (1.1.1.1) is outside',
  );
  const fails = async () => Promise.reject(new Error('ENOTFOUND'));
  expect(await urlPolicyViolation('http://nowhere', PRIVATE, fails)).toContain('cannot be resolved');
});
