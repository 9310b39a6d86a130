import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

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

/** Why the IP address in a URL is not allowed, or null. Every probe checks a host name, by the address it resolves to. */
export function addressPolicyViolation(url: string, networks: readonly string[]): string | null {
  const host = hostOf(url);
  return ipaddr.isValid(host) && !isAddressAllowed(host, networks) ? outsideDetail(host, networks) : null;
}

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');
const outsideDetail = (host: string, networks: readonly string[]): string =>
  `${host} is outside registry.allowNetworks (${networks.join(', ')}; never link-local)`;

type Resolve = (host: string) => Promise<string[]>;
const resolveHost: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** Why a URL is not allowed, or null. A host name must resolve to allowed addresses only. */
export async function urlPolicyViolation(
  url: string,
  networks: readonly string[],
  resolve: Resolve = resolveHost,
): Promise<string | null> {
  const host = hostOf(url);
  let addresses = [host];
  if (!ipaddr.isValid(host)) {
    try {
      addresses = await resolve(host);
    } catch {
      return `the host name ${host} cannot be resolved`;
    }
  }
  const outside = addresses.find((address) => !isAddressAllowed(address, networks));
  if (outside === undefined) return null;
  return outsideDetail(outside === host ? host : `${host} (${outside})`, networks);
}
