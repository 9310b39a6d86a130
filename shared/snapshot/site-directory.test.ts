import { expect, test } from 'vitest';
import { importVerifyKeys } from './keys.ts';
import { signDocument, signSnapshot, toBase64Url } from './signature.ts';
import { openSiteDirectory, type SiteDirectory, signSiteDirectory, usableKeys } from './site-directory.ts';

async function newKey(kid: string, site: string) {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  const raw = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)));
  const entry = `${site}:${kid}:${raw}`;
  return { entry, signing: { kid, privateKey: pair.privateKey }, verify: await importVerifyKeys(entry) };
}

const root = await newKey('d1', '@sites');
const west = await newKey('w1', 'west');
const east = await newKey('e1', 'east');

const directory = (part: Partial<SiteDirectory> = {}): SiteDirectory => ({
  v: 1,
  kind: 'site-directory',
  seq: 5,
  entries: [west.entry],
  ...part,
});

test('a directory names sites and their keys', async () => {
  const opened = await openSiteDirectory(await signSiteDirectory(directory(), root.signing), root.verify);
  expect(opened).toMatchObject({ ok: true, seq: 5, keys: [{ site: 'west', kid: 'w1' }] });
});

test('the key of a site cannot sign a directory, and the key of the directory cannot sign a snapshot', async () => {
  const byWest = await signSiteDirectory(directory(), west.signing);
  expect(await openSiteDirectory(byWest, root.verify)).toMatchObject({ ok: false, signed: false });
  const snapshot = {
    v: 1,
    site: '@sites',
    epoch: 1,
    seq: 1,
    issuedAt: 0,
    gateways: [],
    services: {},
  } as const;
  const asSnapshot = await signSnapshot({ ...snapshot, gateways: [] }, root.signing);
  expect(await openSiteDirectory(asSnapshot, root.verify)).toMatchObject({
    ok: false,
    why: 'not a site directory',
  });
});

test.each<[string, unknown]>([
  ['no document', null],
  ['a number that is not whole', directory({ seq: 1.5 })],
  ['one key id for two sites', directory({ entries: [west.entry, west.entry.replace('west', 'north')] })],
  ['an entry with a comma', directory({ entries: [`${west.entry},${east.entry}`] })],
  ['a name that is not a site id', directory({ entries: [west.entry.replace('west', '@sites')] })],
  ['an invalid key', directory({ entries: ['west:w1:AAAA'] })],
  ['too many entries', directory({ entries: Array.from({ length: 1_001 }, () => west.entry) })],
])('refuses %s', async (_, document) => {
  const sealed = await signDocument(document as object, root.signing);
  expect(await openSiteDirectory(sealed, root.verify)).toMatchObject({ ok: false, signed: true });
});

test('sites in SITES keep the keys of the environment, and a key id stays with its site', async () => {
  const foreign = await newKey('e2', 'east');
  const stolen = await newKey('e1', 'north');
  const keys = [...west.verify, ...foreign.verify, ...stolen.verify];
  const usable = usableKeys(keys, { sites: ['east'], verifyKeys: east.verify });
  expect(usable.map(({ site }) => site)).toEqual(['west']);
});
