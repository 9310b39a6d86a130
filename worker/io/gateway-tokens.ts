import { toBase64Url } from '../../shared/snapshot/signature.ts';

const LIFETIME_SECONDS = 60;
/** Leaves time for a request that queues at the gateway. */
const RENEW_AFTER_MS = 45_000;

/** Edge tokens: one ES256 JWT per site, signed about once a minute and shared by all requests until then. */
export class GatewayTokens {
  readonly #key: { kid: string; key: CryptoKey } | null;
  readonly #tokens = new Map<string, { token: string; signedAt: number }>();

  constructor(key: { kid: string; key: CryptoKey } | null) {
    this.#key = key;
  }

  /** Null without a key. A promise only when a new token has to be signed. */
  tokenFor(site: string, now: number): string | null | Promise<string> {
    if (!this.#key) return null;
    const cached = this.#tokens.get(site);
    // A token from the future, after the clock was set back, is replaced too.
    if (cached && now - cached.signedAt < RENEW_AFTER_MS && now >= cached.signedAt) return cached.token;
    return this.#sign(this.#key, site, now);
  }

  async #sign({ kid, key }: { kid: string; key: CryptoKey }, site: string, now: number): Promise<string> {
    const iat = Math.floor(now / 1000);
    const head = { alg: 'ES256', typ: 'JWT', kid };
    const claims = { iss: 'acgs-edge', aud: site, iat, exp: iat + LIFETIME_SECONDS };
    const signed = `${encode(head)}.${encode(claims)}`;
    const signature = await crypto.subtle.sign(
      { name: 'ECDSA', hash: 'SHA-256' },
      key,
      new TextEncoder().encode(signed),
    );
    const token = `${signed}.${toBase64Url(new Uint8Array(signature))}`;
    this.#tokens.set(site, { token, signedAt: now });
    return token;
  }
}

const encode = (part: object): string => toBase64Url(new TextEncoder().encode(JSON.stringify(part)));
