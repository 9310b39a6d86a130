import { type AffinityPins, decodePins, encodePins } from '../../shared/affinity/pins.ts';
import { fromBase64Url, toBase64Url, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import { BoundedCache } from './bounded-cache.ts';

const COOKIE_NAME = 'acgs_affinity';

const NONCE_BYTES = 12;
const MAX_VALUE_LENGTH = 4_096;
const CACHE_SIZE = 4_096;

/**
 * The affinity cookie holds pins, sealed with AES-256-GCM so that a client can neither read nor change them:
 * `<kid>.<base64url nonce | ciphertext | tag>`. The expiry is inside, rounded to the minute. So clients with the same
 * pins share one sealed value, and with both directions cached the cryptography runs once a minute, not once a request.
 */
export class AffinityCookies {
  readonly #keys: readonly { kid: string; key: WebCryptoKey }[];
  readonly #opened = new BoundedCache<AffinityPins | 'invalid'>(CACHE_SIZE);
  readonly #sealed = new BoundedCache<string>(CACHE_SIZE);
  /** Pins opened with a key that no longer seals. */
  readonly #outdated = new WeakSet<AffinityPins>();

  constructor(keys: readonly { kid: string; key: WebCryptoKey }[]) {
    this.#keys = keys;
  }

  get enabled(): boolean {
    return this.#keys.length > 0;
  }

  /** The pins in a Cookie header. Null: it has no affinity cookie, or a forged, expired or oversized one. */
  open(header: string, now: number): AffinityPins | null | Promise<AffinityPins | null> {
    const value = cookieValue(header);
    if (!value || value.length > MAX_VALUE_LENGTH) return null;
    const known = this.#opened.get(value);
    if (known === 'invalid') return null;
    if (known) return known.expires > now ? known : null;
    return this.#unseal(value, now);
  }

  async #unseal(value: string, now: number): Promise<AffinityPins | null> {
    const dot = value.indexOf('.');
    const key = this.#keys.find((one) => one.kid === value.slice(0, dot))?.key;
    const bytes = key ? fromBase64Url(value.slice(dot + 1)) : null;
    let pins: AffinityPins | null = null;
    if (key && bytes && bytes.length > NONCE_BYTES) {
      try {
        const algorithm = { name: 'AES-GCM', iv: bytes.subarray(0, NONCE_BYTES) };
        const text = await crypto.subtle.decrypt(algorithm, key, bytes.subarray(NONCE_BYTES));
        pins = decodePins(new TextDecoder().decode(text), now);
        if (pins && key !== this.#keys[0]?.key) this.#outdated.add(pins);
      } catch {
        // Forged, or sealed with an older key of the same name: ignored.
      }
    }
    this.#opened.set(value, pins ?? 'invalid');
    return pins;
  }

  /** Whether the cookie was sealed with an old key. Resealing it allows that key to be removed. */
  needsResealing(pins: AffinityPins): boolean {
    return this.#outdated.has(pins);
  }

  /** A Set-Cookie value. Null: there is no key, or the pins do not fit in a cookie. */
  seal(pins: AffinityPins, secure: boolean, now: number): string | null | Promise<string | null> {
    const text = encodePins(pins);
    const first = this.#keys[0];
    if (!first || text === null) return null;
    const known = this.#sealed.get(text);
    if (known) return setCookie(known, pins, secure, now);
    return this.#seal(first, text).then((value) => setCookie(value, pins, secure, now));
  }

  async #seal({ kid, key }: { kid: string; key: WebCryptoKey }, text: string): Promise<string> {
    const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, new TextEncoder().encode(text));
    const bytes = new Uint8Array(NONCE_BYTES + sealed.byteLength);
    bytes.set(iv);
    bytes.set(new Uint8Array(sealed), NONCE_BYTES);
    const value = `${kid}.${toBase64Url(bytes)}`;
    this.#sealed.set(text, value);
    return value;
  }
}

function setCookie(value: string, pins: AffinityPins, secure: boolean, now: number): string {
  const maxAge = Math.max(1, Math.floor((pins.expires - now) / 1000));
  return `${COOKIE_NAME}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
}

/** The first affinity cookie: RFC 6265 §5.4 puts the most specific first. */
function cookieValue(header: string): string | null {
  let from = 0;
  for (;;) {
    const at = header.indexOf(`${COOKIE_NAME}=`, from);
    if (at < 0) return null;
    const before = header.charCodeAt(at - 1);
    if (at === 0 || before === 32 || before === 59) {
      const start = at + COOKIE_NAME.length + 1;
      const end = header.indexOf(';', start);
      return header.slice(start, end < 0 ? undefined : end).trim();
    }
    from = at + COOKIE_NAME.length;
  }
}
