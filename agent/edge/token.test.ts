import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { createEdgeTokenVerifier, limitTokenChecks } from './token.ts';

const NOW_MS = 1_700_000_000_000;
const seconds = NOW_MS / 1000;
const known = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = known.publicKey.export({ type: 'spki', format: 'der' }).toString('base64url');
const verify = createEdgeTokenVerifier(`k1:${spki}`, 'main');

const claims = { iss: 'acgs-edge', aud: 'main', iat: seconds, exp: seconds + 60 };
const sign = (payload: object, key: KeyObject = known.privateKey, kid = 'k1') =>
  new SignJWT({ ...payload }).setProtectedHeader({ alg: 'ES256', kid }).sign(key);

test('a token of the edge for this site is valid until it expires', async () => {
  const token = await sign(claims);
  expect(await verify(token, NOW_MS)).toBe(true);
  expect(await verify(token, NOW_MS + 60_000)).toBe(false);
});

test.each([
  ['another site', { ...claims, aud: 'other' }],
  ['another issuer', { ...claims, iss: 'other' }],
  ['no expiry', { ...claims, exp: undefined }],
  ['a lifetime that the edge never gives', { ...claims, exp: seconds + 3_600 }],
])('refused: %s', async (_, payload) => {
  expect(await verify(await sign(payload), NOW_MS)).toBe(false);
});

test('refused: an unknown key, a wrong signature, another algorithm, and text that is not a token', async () => {
  expect(await verify(await sign(claims, known.privateKey, 'k2'), NOW_MS)).toBe(false);
  expect(await verify(await sign(claims, other.privateKey), NOW_MS)).toBe(false);
  const hs256 = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
    .sign(Buffer.from(spki));
  expect(await verify(hs256, NOW_MS)).toBe(false);
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`;
  for (const text of ['', 'a.b.c', unsigned, 'x'.repeat(5_000)])
    expect(await verify(text, NOW_MS)).toBe(false);
});

test('forged tokens cost at most ten checks a minute and address, then five a second', async () => {
  let checks = 0;
  const check = limitTokenChecks(async (token, nowMs) => {
    checks += 1;
    return verify(token, nowMs);
  });
  const genuine = await sign(claims);
  expect(await check(genuine, '192.0.2.1', NOW_MS)).toBe('valid');
  const forged = await sign(claims, other.privateKey);
  const verdicts: string[] = [];
  for (let n = 0; n < 1_000; n++) verdicts.push(await check(`${forged}${n}`, '192.0.2.1', NOW_MS));
  expect(verdicts.filter((verdict) => verdict === 'invalid')).toHaveLength(15);
  expect(verdicts.at(-1)).toBe('busy');
  expect(checks).toBe(16);
  // A known token needs no check, and a new token of the edge is checked within the next second.
  expect(await check(genuine, '192.0.2.1', NOW_MS)).toBe('valid');
  expect(checks).toBe(16);
  const next = await sign({ ...claims, iat: seconds + 1 });
  expect(await check(next, '192.0.2.2', NOW_MS)).toBe('valid');
  expect(await check(await sign({ ...claims, iat: seconds + 2 }), '192.0.2.1', NOW_MS + 1_000)).toBe('valid');
  // A known token stays valid until it expires.
  expect(await check(genuine, '192.0.2.3', NOW_MS + 60_000)).toBe('invalid');
});
