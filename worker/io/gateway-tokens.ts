import { toBase64Url } from '../../shared/snapshot/signature.ts';

const LIFETIME_SECONDS = 60;
/** Renewed with time to spare for a request that queues at the gateway. */
const RENEW_AFTER_MS = 45_000;

/** The edge token: an ES256 JWT per site, made about once a minute and used for every request in between. */
export class GatewayTokens {
  readonly #key: { kid: string; key: CryptoKey } | null;
  readonly #made = new Map<string, { token: string; at: number }>();

  constructor(key: { kid: string; key: CryptoKey } | null) {
    this.#key = key;
  }

  /** Null without a key. A plain string on all but one request a minute, so that nothing has to be awaited. */
  tokenFor(site: string, now: number): string | null | Promise<string> {
    if (!this.#key) return null;
    const made = this.#made.get(site);
    // A clock that was set back makes a token of the future: made anew as well.
    if (made && now - made.at < RENEW_AFTER_MS && now >= made.at) return made.token;
    return this.#make(this.#key, site, now);
  }

  async #make({ kid, key }: { kid: string; key: CryptoKey }, site: string, now: number): Promise<string> {
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
    this.#made.set(site, { token, at: now });
    return token;
  }
}

const encode = (part: object): string => toBase64Url(new TextEncoder().encode(JSON.stringify(part)));
