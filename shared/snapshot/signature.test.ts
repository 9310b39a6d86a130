import { expect, test } from 'vitest';
import { importSigningKey, importVerifyKeys } from './keys.ts';
import { signSnapshot, toBase64Url, verifySnapshot } from './signature.ts';
import { compareSnapshotOrder, type Snapshot } from './snapshot.ts';

const snapshot: Snapshot = {
  v: 1,
  site: 'main',
  epoch: 3,
  seq: 7,
  issuedAt: 0,
  gateways: ['http://gw'],
  services: {},
};

async function generateSigningPair() {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  return pair;
}

async function makeKeys(site = 'main', kid = 'k1') {
  const pair = await generateSigningPair();
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  const raw = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)));
  return { signing: await importSigningKey(`${kid}:${pkcs8}`), publicText: `${site}:${kid}:${raw}` };
}

test('verifies a signed snapshot with the matching key', async () => {
  const { signing, publicText } = await makeKeys();
  const opened = await verifySnapshot(
    await signSnapshot(snapshot, signing),
    'main',
    await importVerifyKeys(publicText),
  );
  expect(opened).toEqual({ ok: true, snapshot });
});

test('rejects a changed byte, an unknown key and another site', async () => {
  const { signing, publicText } = await makeKeys();
  const keys = await importVerifyKeys(publicText);
  const sealed = await signSnapshot(snapshot, signing);
  const changed = sealed.slice();
  changed[changed.length - 3] = (changed[changed.length - 3] ?? 0) ^ 1;
  expect(await verifySnapshot(changed, 'main', keys)).toMatchObject({
    ok: false,
    why: 'the signature is invalid',
  });
  expect(await verifySnapshot(sealed, 'other', keys)).toMatchObject({ ok: false });
  const stranger = await makeKeys('main', 'k2');
  expect(await verifySnapshot(await signSnapshot(snapshot, stranger.signing), 'main', keys)).toMatchObject({
    ok: false,
  });
});

test('rejects a key of another site', async () => {
  const { signing, publicText } = await makeKeys('main');
  const forged = await signSnapshot({ ...snapshot, site: 'other' }, signing);
  const keys = await importVerifyKeys(publicText);
  expect(await verifySnapshot(forged, 'main', keys)).toMatchObject({ ok: false });
  await expect(importVerifyKeys(`${publicText},${publicText.replace('main', 'other')}`)).rejects.toThrow(
    'two sites',
  );
});

test('orders by epoch, then by seq', () => {
  expect(compareSnapshotOrder({ epoch: 2, seq: 0 }, { epoch: 1, seq: 99 })).toBeGreaterThan(0);
  expect(compareSnapshotOrder({ epoch: 1, seq: 1 }, { epoch: 1, seq: 2 })).toBeLessThan(0);
});
