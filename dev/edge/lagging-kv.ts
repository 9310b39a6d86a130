/**
 * A Worker that simulates the delays and failures of real KV in front of the local KV: reads return values (and missing
 * keys) cached for `LAG_MS`; with `DOWN` every call fails. It is bound as SNAPSHOTS. Plain JavaScript for workerd.
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
