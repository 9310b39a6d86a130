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

test('new secrets fit together: the edge opens what the agent seals', async () => {
  const { agent, edge } = generateSiteSecrets('main', NOW);
  expect(await opens(await seal(agent.SNAPSHOT_SIGNING_KEY ?? ''), edge.SNAPSHOT_PUBLIC_KEYS ?? '')).toBe(
    true,
  );
  expect(agent.EDGE_TOKEN).toBe(edge.EDGE_TOKEN);
  expect(agent.EDGE_JWT_PUBLIC_KEYS?.split(':')[0]).toBe(edge.GATEWAY_JWT_KEY?.split(':')[0]);
});

test('at every step of a rotation the edge opens what the agent signs then, and at the end the old key is refused', async () => {
  const old = generateSiteSecrets('main', NOW).agent.SNAPSHOT_SIGNING_KEY ?? '';
  const [both, signing, after] = rotateSnapshotKey('main', old, NOW).map((step) => step.value);
  if (!both || !signing || !after) throw new Error('three steps');
  expect(await opens(await seal(old), both)).toBe(true);
  expect(await opens(await seal(signing), both)).toBe(true);
  expect(await opens(await seal(signing), after)).toBe(true);
  expect(await opens(await seal(old), after)).toBe(false);
});

test('gateway and cookie keys: both known before either signs alone', () => {
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

test('a key that is none is named, its value is not', () => {
  expect(() => rotateGatewayKey('k1:c2VjcmV0', NOW)).toThrow('GATEWAY_JWT_KEY holds no PKCS #8 private key');
});
