import { fromBase64Url, type SnapshotVerifyKey, type WebCryptoKey } from './signature.ts';

/**
 * Keys in environment variables, one line each:
 *   SNAPSHOT_SIGNING_KEY   `<kid>:<base64url pkcs8>`                     (Ed25519 private, agent)
 *   SNAPSHOT_PUBLIC_KEYS   `<site>:<kid>:<base64url raw>[,…]`            (Ed25519 public, edge; two while rotating)
 *   SITE_DIRECTORY_KEYS    `<kid>:<base64url raw>[,…]`                   (Ed25519 public, edge; two while rotating)
 *   GATEWAY_JWT_KEY        `<kid>:<base64url pkcs8>`                     (ES256 private, edge)
 *   EDGE_JWT_PUBLIC_KEYS   `<kid>:<base64url spki>[,…]`                  (ES256 public, HAProxy)
 *   COOKIE_KEYS            `<kid>:<base64url 32 bytes>[,…]`              (the first seals, all open)
 */
interface EncodedKey {
  kid: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Parses `<kid>:<base64url>`. The error names the variable, never its value. */
export function parseEncodedKey(variable: string, text: string): EncodedKey {
  const [kid, encoded, ...rest] = text.trim().split(':');
  const bytes = encoded ? fromBase64Url(encoded) : null;
  if (!kid || !bytes || rest.length > 0) throw new Error(`${variable} must be <kid>:<base64url key>`);
  return { kid, bytes };
}

export function parseKeyList(variable: string, text: string): EncodedKey[] {
  return text
    .split(',')
    .filter((part) => part.trim())
    .map((part) => parseEncodedKey(variable, part));
}

export async function importSigningKey(text: string): Promise<{ kid: string; privateKey: WebCryptoKey }> {
  const { kid, bytes } = parseEncodedKey('SNAPSHOT_SIGNING_KEY', text);
  return { kid, privateKey: await crypto.subtle.importKey('pkcs8', bytes, 'Ed25519', false, ['sign']) };
}

/** The public keys of the Worker. A kid may sign for one site only. `source` is named in errors. */
export async function importVerifyKeys(
  text: string,
  source = 'SNAPSHOT_PUBLIC_KEYS',
): Promise<SnapshotVerifyKey[]> {
  const keys = await Promise.all(
    text
      .split(',')
      .filter((part) => part.trim())
      .map(async (part) => {
        const colon = part.indexOf(':');
        const site = part.slice(0, colon).trim();
        if (colon < 1) throw new Error(`${source} must be <site>:<kid>:<base64url key>[,…]`);
        const { kid, bytes } = parseEncodedKey(source, part.slice(colon + 1));
        return {
          site,
          kid,
          publicKey: await crypto.subtle.importKey('raw', bytes, 'Ed25519', false, ['verify']),
        };
      }),
  );
  for (const key of keys) {
    if (keys.some((other) => other.kid === key.kid && other.site !== key.site)) {
      throw new Error(`${source}: key "${key.kid}" is listed for two sites`);
    }
  }
  return keys;
}
