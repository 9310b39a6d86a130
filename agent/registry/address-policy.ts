import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Config } from '../../shared/config/config.ts';
import { ownListenerAt } from '../../shared/config/listener-conflicts.ts';

/**
 * Networks that are never allowed, whatever the configuration says: cloud metadata services, some of them (EC2, Google,
 * Oracle) at private IPv6 addresses, and the unspecified address.
 */
const FORBIDDEN_NETWORKS = [
  '169.254.0.0/16',
  'fe80::/10',
  '0.0.0.0/32',
  '::/128',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
  'fd00:c1::a9fe:a9fe/128',
];

const isWithin = (address: string, networks: readonly string[]): boolean => {
  const ip = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = network.includes('/')
      ? ipaddr.parseCIDR(network)
      : [ipaddr.parse(network), network.includes(':') ? 128 : 32];
    return base.kind() === ip.kind() && ip.match(base, bits);
  });
};

/** Whether a registered instance may have this address. */
export const isAddressAllowed = (address: string, networks: readonly string[]): boolean =>
  !isWithin(address, FORBIDDEN_NETWORKS) && isWithin(address, networks);

export interface InstanceUrls {
  url: string;
  /** Only the edge uses it, over the internet, so registry.allowNetworks does not apply. */
  publicUrl?: string | undefined;
}

/** Why the IP addresses in the URLs are not allowed, or null. Every probe checks a host name, by the address it resolves to. */
export function addressPolicyViolation({ url, publicUrl }: InstanceUrls, config: Config): string | null {
  const host = hostOf(url);
  return (
    (ipaddr.isValid(host) ? addressesViolation(url, [host], config) : null) ??
    publicUrlViolation(publicUrl, config)
  );
}

function publicUrlViolation(publicUrl: string | undefined, config: Config): string | null {
  if (publicUrl === undefined) return null;
  const host = hostOf(publicUrl);
  if (ipaddr.isValid(host) && isWithin(host, FORBIDDEN_NETWORKS))
    return `publicUrl: ${host} is never the address of an instance`;
  return listenerViolation(publicUrl, [], config);
}

function addressesViolation(url: string, addresses: readonly string[], config: Config): string | null {
  const { allowNetworks } = config.registry;
  const host = hostOf(url);
  const outside = addresses.find((address) => !isAddressAllowed(address, allowNetworks));
  if (outside === undefined) return listenerViolation(url, addresses, config);
  const name = outside === host ? host : `${host} (${outside})`;
  return `${name} is outside registry.allowNetworks (${allowNetworks.join(', ')}; never link-local)`;
}

function listenerViolation(url: string, addresses: readonly string[], config: Config): string | null {
  const listener = ownListenerAt(url, config, { addresses, local: hostAddresses() });
  return listener && `${url} is not the address of an instance: ${listener}`;
}

/** The addresses of this host's network interfaces. */
const hostAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((found) => (found ?? []).map(({ address }) => address));

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');

type Resolve = (host: string) => Promise<string[]>;
const resolveHost: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** Why the URLs are not allowed, or null. A host name in `url` must resolve to allowed addresses only. */
export async function urlPolicyViolation(
  urls: InstanceUrls,
  config: Config,
  resolve: Resolve = resolveHost,
): Promise<string | null> {
  const host = hostOf(urls.url);
  if (ipaddr.isValid(host)) return addressPolicyViolation(urls, config);
  const addresses = await resolve(host).catch(() => null);
  if (!addresses) return `the host name ${host} cannot be resolved`;
  return addressesViolation(urls.url, addresses, config) ?? publicUrlViolation(urls.publicUrl, config);
}
