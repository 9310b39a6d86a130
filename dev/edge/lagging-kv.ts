/**
 * A Worker in front of the local KV that behaves as the real one may: a change is seen `LAG_MS` late, a missing key
 * included, and with `DOWN` every call fails. Bound in place of SNAPSHOTS, so the edge cannot tell. Plain JavaScript,
 * given to workerd as it stands.
 */
export const LAGGING_KV = `
import { WorkerEntrypoint } from 'cloudflare:workers';
const seen = new Map();
export default class extends WorkerEntrypoint {
  async #read(key) {
    if (this.env.DOWN) throw new Error('KV GET failed: 503 Service Unavailable');
    const now = Date.now();
    const kept = seen.get(key);
    if (kept && now < kept.until) return kept.bytes;
    const bytes = await this.env.STORE.get(key, 'arrayBuffer');
    seen.set(key, { bytes, until: now + this.env.LAG_MS });
    return bytes;
  }
  async get(key, options) {
    const kind = typeof options === 'string' ? options : (options?.type ?? 'text');
    const bytes = await this.#read(key);
    if (bytes === null || kind === 'arrayBuffer') return bytes;
    if (kind === 'stream') return new Response(bytes).body;
    const text = new TextDecoder().decode(bytes);
    return kind === 'json' ? JSON.parse(text) : text;
  }
  async getWithMetadata(key, options) {
    return { value: await this.get(key, options), metadata: null, cacheStatus: null };
  }
  async put(key, value, options) {
    if (this.env.DOWN) throw new Error('KV PUT failed: 503 Service Unavailable');
    await this.env.STORE.put(key, value, options);
  }
  async delete(key) {
    if (this.env.DOWN) throw new Error('KV DELETE failed: 503 Service Unavailable');
    await this.env.STORE.delete(key);
  }
}
`;
