import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { importSigningKey, importVerifyKeys, parseKeyList } from '../../shared/snapshot/keys.ts';
import { signSnapshot, verifySnapshot } from '../../shared/snapshot/signature.ts';
import { loadSecrets } from './secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'acgs-secrets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('creates matching key pairs once, readable by the owner only', async () => {
  const file = join(folder, 'secrets.env');
  const secrets = loadSecrets(file, 'main');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(loadSecrets(file, 'main')).toEqual(secrets);

  const signing = await importSigningKey(secrets.SNAPSHOT_SIGNING_KEY);
  const verify = await importVerifyKeys(secrets.SNAPSHOT_PUBLIC_KEYS);
  const snapshot = { v: 1 as const, site: 'main', epoch: 1, seq: 1, issuedAt: 0, gateways: [], services: {} };
  expect(await verifySnapshot(await signSnapshot(snapshot, signing), 'main', verify)).toMatchObject({
    ok: true,
  });

  const pair = { name: 'ECDSA', namedCurve: 'P-256' };
  const [gateway] = parseKeyList('GATEWAY_JWT_KEY', secrets.GATEWAY_JWT_KEY);
  const [edge] = parseKeyList('EDGE_JWT_PUBLIC_KEYS', secrets.EDGE_JWT_PUBLIC_KEYS);
  const privateKey = await crypto.subtle.importKey('pkcs8', gateway?.bytes ?? new Uint8Array(), pair, false, [
    'sign',
  ]);
  const publicKey = await crypto.subtle.importKey('spki', edge?.bytes ?? new Uint8Array(), pair, false, [
    'verify',
  ]);
  const hash = { name: 'ECDSA', hash: 'SHA-256' };
  const signature = await crypto.subtle.sign(hash, privateKey, new Uint8Array([1]));
  expect(await crypto.subtle.verify(hash, publicKey, signature, new Uint8Array([1]))).toBe(true);
  expect(edge?.kid).toBe(gateway?.kid ?? 'none');
  expect(parseKeyList('COOKIE_KEYS', secrets.COOKIE_KEYS)[0]?.bytes).toHaveLength(32);
});

it('creates missing secrets and keeps the others', () => {
  const file = join(folder, 'partial.env');
  const first = loadSecrets(file, 'main');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^ACGS_TOKEN=.*$/m, 'ACGS_TOKEN='));
  const second = loadSecrets(file, 'main');
  expect(second.ACGS_TOKEN).toMatch(/^[\w-]{32}$/);
  expect(second).toEqual({ ...first, ACGS_TOKEN: second.ACGS_TOKEN });
});
