import type { Snapshot } from './snapshot.ts';

/** A WebCrypto key, under the types of both Node and the Worker. */
export type WebCryptoKey = Parameters<typeof crypto.subtle.verify>[1];

/**
 * Signs a snapshot. The result is `<kid>.<base64url Ed25519 signature>`, a newline, and the signed JSON bytes. The
 * verifier checks these bytes, so the JSON needs no canonical form.
 */
export const signSnapshot = (
  snapshot: Snapshot,
  key: { kid: string; privateKey: WebCryptoKey },
): Promise<Uint8Array<ArrayBuffer>> => signDocument(snapshot, key);

export async function signDocument(
  document: object,
  key: { kid: string; privateKey: WebCryptoKey },
): Promise<Uint8Array<ArrayBuffer>> {
  const body = new TextEncoder().encode(JSON.stringify(document));
  const signature = await crypto.subtle.sign('Ed25519', key.privateKey, body);
  const head = new TextEncoder().encode(`${key.kid}.${toBase64Url(new Uint8Array(signature))}\n`);
  const sealed = new Uint8Array(head.length + body.length);
  sealed.set(head);
  sealed.set(body, head.length);
  return sealed;
}

/** A public key and the only site it may sign for. */
export interface SnapshotVerifyKey {
  kid: string;
  site: string;
  publicKey: WebCryptoKey;
}

type SnapshotVerification = { ok: true; snapshot: Snapshot } | { ok: false; why: string };

/** Verifies the signature, then parses and checks the snapshot. */
export async function verifySnapshot(
  sealed: Uint8Array<ArrayBuffer>,
  site: string,
  keys: readonly SnapshotVerifyKey[],
): Promise<SnapshotVerification> {
  const verified = await verifyDocument(sealed, site, keys);
  return verified.ok ? checked(verified.document as Snapshot, site) : verified;
}

/** The JSON document, if a key of the site has signed it. Parses the body only after the signature is verified. */
export async function verifyDocument(
  sealed: Uint8Array<ArrayBuffer>,
  site: string,
  keys: readonly SnapshotVerifyKey[],
): Promise<{ ok: true; document: unknown } | { ok: false; why: string }> {
  const newline = sealed.indexOf(10);
  if (newline < 0 || newline > 256) return { ok: false, why: 'no signature line' };
  const firstLine = new TextDecoder().decode(sealed.subarray(0, newline));
  const [kid = '', signatureText = ''] = firstLine.split('.');
  const key = signerOf(firstLine, site, keys);
  if (!key) return { ok: false, why: `no public key "${kid}" for site "${site}"` };
  const signature = fromBase64Url(signatureText);
  const body = sealed.subarray(newline + 1);
  // workerd throws when the signature has another length.
  if (signature?.length !== 64 || !(await crypto.subtle.verify('Ed25519', key.publicKey, signature, body))) {
    return { ok: false, why: 'the signature is invalid' };
  }
  try {
    return { ok: true, document: JSON.parse(new TextDecoder().decode(body)) };
  } catch (cause) {
    return { ok: false, why: `signed body is not JSON: ${String(cause)}` };
  }
}

/** The key that the first line of a sealed snapshot names; null when it may not sign for the site. */
export function signerOf(
  firstLine: string,
  site: string,
  keys: readonly SnapshotVerifyKey[],
): SnapshotVerifyKey | null {
  const [kid] = firstLine.split('.', 1);
  return keys.find((one) => one.kid === kid && one.site === site) ?? null;
}

function checked(snapshot: Snapshot | null, site: string): SnapshotVerification {
  if (snapshot?.v !== 1) return { ok: false, why: `version ${String(snapshot?.v)}, expected 1` };
  if (snapshot.site !== site) return { ok: false, why: `for site "${snapshot.site}", expected "${site}"` };
  if (!Number.isSafeInteger(snapshot.epoch) || !Number.isSafeInteger(snapshot.seq))
    return { ok: false, why: 'epoch or seq is not an integer' };
  return { ok: true, snapshot };
}

export function toBase64Url(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Null when the text is not base64url. For short texts only: atob is slow on long ones. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
      char.charCodeAt(0),
    );
  } catch {
    return null;
  }
}

/** The order of a signed snapshot, read without verification. Never base trust on it. */
export function unverifiedOrder(sealed: Uint8Array): { epoch: number; seq: number } | null {
  // Both are at the start of the document.
  const start = new TextDecoder().decode(sealed.subarray(0, 1_024));
  const epoch = /"epoch":(\d+)/.exec(start)?.[1];
  const seq = /"seq":(\d+)/.exec(start)?.[1];
  return epoch && seq ? { epoch: Number(epoch), seq: Number(seq) } : null;
}
