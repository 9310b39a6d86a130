import { vpcBinding } from '../../shared/vpc-binding.ts';
import type { Env } from '../env.ts';
import type { EdgeSettings } from '../settings.ts';

/**
 * The options that workerd sends to Cloudflare for `cache: 'no-store'`. That would also add `Cache-Control` and
 * `Pragma` to the request, but the application must see the client's own fields. The services behind one gateway share
 * its URLs, so an answer in Cloudflare's cache could be served for another host or another client.
 */
const NOT_CACHED = { cacheTtl: -1, cacheLevel: 'bypass' };

type Network = Pick<Fetcher, 'fetch'>;

const INTERNET: Network = { fetch: (request) => fetch(request) };

/**
 * Sends requests past Cloudflare's cache: to the gateways of a site through its Workers VPC binding if it has one, and
 * to everything else over the internet.
 */
export class Upstreams {
  readonly #options: RequestInit | null;
  readonly #privateNetworks: ReadonlyMap<string, Network>;

  /** Throws when two sites would use the same binding. */
  constructor(env: Env, { sites, clientAddressSource }: Pick<EdgeSettings, 'sites' | 'clientAddressSource'>) {
    // There is no such cache outside Cloudflare, and the option costs a tenth of the throughput.
    this.#options = clientAddressSource === 'cloudflare' ? { cf: NOT_CACHED } : null;
    const siteOf = new Map<string, string>();
    const networks = new Map<string, Network>();
    for (const site of sites) {
      const name = vpcBinding(site);
      const network = env[name];
      if (!network) continue;
      const other = siteOf.get(name);
      if (other !== undefined) throw new Error(`SITES: ${other} and ${site} both use the binding ${name}`);
      siteOf.set(name, site);
      networks.set(site, network);
    }
    this.#privateNetworks = networks;
  }

  /** Whether the gateways of the site are in a private network. */
  isPrivate(site: string): boolean {
    return this.#privateNetworks.has(site);
  }

  /** A request that bypasses Cloudflare's cache. Its header fields can be changed. */
  newRequest(url: string, init: RequestInit): Request {
    return new Request(url, this.#options ? { ...init, ...this.#options } : init);
  }

  /** `site`: the site of the gateway; undefined for an instance. `request` must come from `newRequest`. */
  fetch(site: string | undefined, request: Request): Promise<Response> {
    const network = (site !== undefined && this.#privateNetworks.get(site)) || INTERNET;
    // Without options, `fetch` takes the request as it is. With options it would copy all fields again.
    return network.fetch(request);
  }
}
