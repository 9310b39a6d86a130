import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

/**
 * Addresses nobody may register, whatever the configuration allows: cloud metadata services live there, some of them
 * (EC2, Google, Oracle) under private IPv6 addresses.
 */
const NEVER = [
  ...['169.254.0.0/16', 'fe80::/10', '0.0.0.0/32', '::/128'],
  ...['fd00:ec2::254/128', 'fd20:ce::254/128', 'fd00:c1::a9fe:a9fe/128'],
];

const within = (address: string, networks: readonly string[]): boolean => {
  const ip = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = network.includes('/')
      ? ipaddr.parseCIDR(network)
      : [ipaddr.parse(network), network.includes(':') ? 128 : 32];
    return base.kind() === ip.kind() && ip.match(base, bits);
  });
};

/** Whether an address may be probed on behalf of a registration. */
export const isAddressAllowed = (address: string, networks: readonly string[]): boolean =>
  !within(address, NEVER) && within(address, networks);

/**
 * Why an address written out in a URL is not, or no longer, allowed; null for host names, which every probe judges by
 * what they resolve to then.
 */
export function addressPolicyViolation(url: string, networks: readonly string[]): string | null {
  const host = hostOf(url);
  return ipaddr.isValid(host) && !isAddressAllowed(host, networks) ? outsideText(host, networks) : null;
}

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');
const outsideText = (named: string, networks: readonly string[]): string =>
  `${named} is outside registry.allowNetworks (${networks.join(', ')}; never link-local)`;

type Lookup = (host: string) => Promise<string[]>;
const lookUp: Lookup = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/** Why an instance's URL may not be registered, or null. A name counts by every address it resolves to. */
export async function urlPolicyViolation(
  url: string,
  networks: readonly string[],
  resolve: Lookup = lookUp,
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
  return outsideText(outside === host ? host : `${host} (${outside})`, networks);
}
