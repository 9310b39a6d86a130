import { expect, test } from 'vitest';
import { importSigningKey, importVerifyKeys } from './keys.ts';
import { openSnapshot, sealSnapshot, toBase64Url } from './seal.ts';
import { compareOrder, type Snapshot } from './snapshot.ts';

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

test('what is sealed opens with the matching key', async () => {
  const { signing, publicText } = await makeKeys();
  const opened = await openSnapshot(
    await sealSnapshot(snapshot, signing),
    'main',
    await importVerifyKeys(publicText),
  );
  expect(opened).toEqual({ ok: true, snapshot });
});

test('a changed byte, an unknown key and another site are refused', async () => {
  const { signing, publicText } = await makeKeys();
  const keys = await importVerifyKeys(publicText);
  const sealed = await sealSnapshot(snapshot, signing);
  const changed = sealed.slice();
  changed[changed.length - 3] = (changed[changed.length - 3] ?? 0) ^ 1;
  expect(await openSnapshot(changed, 'main', keys)).toMatchObject({
    ok: false,
    why: 'signature does not hold',
  });
  expect(await openSnapshot(sealed, 'other', keys)).toMatchObject({ ok: false });
  const stranger = await makeKeys('main', 'k2');
  expect(await openSnapshot(await sealSnapshot(snapshot, stranger.signing), 'main', keys)).toMatchObject({
    ok: false,
  });
});

test('a key that signs for one site cannot sign for another', async () => {
  const { signing, publicText } = await makeKeys('main');
  const forged = await sealSnapshot({ ...snapshot, site: 'other' }, signing);
  const keys = await importVerifyKeys(publicText);
  expect(await openSnapshot(forged, 'main', keys)).toMatchObject({ ok: false });
  await expect(importVerifyKeys(`${publicText},${publicText.replace('main', 'other')}`)).rejects.toThrow(
    'two sites',
  );
});

test('epoch outranks seq', () => {
  expect(compareOrder({ epoch: 2, seq: 0 }, { epoch: 1, seq: 99 })).toBeGreaterThan(0);
  expect(compareOrder({ epoch: 1, seq: 1 }, { epoch: 1, seq: 2 })).toBeLessThan(0);
});
