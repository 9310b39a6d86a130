import { expect, test } from 'vitest';
import { importSigningKey, importVerifyKeys } from '../../shared/snapshot/keys.ts';
import { signSnapshot, verifySnapshot } from '../../shared/snapshot/signature.ts';
import { generateSiteSecrets, rotateCookieKey, rotateGatewayKey, rotateSnapshotKey } from './signing-keys.ts';

const NOW = new Date('2026-11-24T12:00:00Z');
const snapshot = { v: 1, site: 'main', epoch: 1, seq: 1, issuedAt: 0, gateways: [], services: {} } as const;
const seal = async (signingKey: string) =>
  signSnapshot({ ...snapshot, gateways: [] }, await importSigningKey(signingKey));
const opens = async (sealed: Uint8Array<ArrayBuffer>, publicKeys: string) =>
  (await verifySnapshot(sealed, 'main', await importVerifyKeys(publicKeys))).ok;

test('generated secrets match: the edge verifies what the agent signs', async () => {
  const { agent, edge } = generateSiteSecrets('main', NOW);
  expect(await opens(await seal(agent.SNAPSHOT_SIGNING_KEY ?? ''), edge.SNAPSHOT_PUBLIC_KEYS ?? '')).toBe(
    true,
  );
  expect(agent.EDGE_TOKEN).toBe(edge.EDGE_TOKEN);
  expect(agent.EDGE_JWT_PUBLIC_KEYS?.split(':')[0]).toBe(edge.GATEWAY_JWT_KEY?.split(':')[0]);
});

test('the edge verifies the signature at every step of a rotation and rejects the old key at the end', async () => {
  const old = generateSiteSecrets('main', NOW).agent.SNAPSHOT_SIGNING_KEY ?? '';
  const [both, signing, after] = rotateSnapshotKey('main', old, NOW).map((step) => step.value);
  if (!both || !signing || !after) throw new Error('three steps');
  expect(await opens(await seal(old), both)).toBe(true);
  expect(await opens(await seal(signing), both)).toBe(true);
  expect(await opens(await seal(signing), after)).toBe(true);
  expect(await opens(await seal(old), after)).toBe(false);
});

test('gateway and cookie keys: the verifier accepts both keys before the signer uses the new one', () => {
  const { GATEWAY_JWT_KEY = '', COOKIE_KEYS = '' } = generateSiteSecrets('main', NOW).edge;
  const gateway = rotateGatewayKey(GATEWAY_JWT_KEY, NOW);
  expect(gateway.map((step) => step.where)).toEqual(['agent', 'edge', 'agent']);
  expect(gateway[0]?.value.split(',')).toHaveLength(2);
  expect(gateway[0]?.value).toContain(gateway[2]?.value);
  const cookie = rotateCookieKey(COOKIE_KEYS, '1h', NOW).map((step) => step.value.split(','));
  expect(cookie[0]?.toReversed()).toEqual(cookie[1]);
  expect(cookie[0]?.[0]).toBe(COOKIE_KEYS);
  expect(cookie[2]).toEqual([cookie[1]?.[0]]);
});

test('an invalid key: the error names the variable but does not print the value', () => {
  expect(() => rotateGatewayKey('k1:c2VjcmV0', NOW)).toThrow('GATEWAY_JWT_KEY is not a PKCS #8 private key');
});
