import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.process>;

/** Null when the text is not an IP address. An IPv4-mapped IPv6 address (`::ffff:1.2.3.4`) becomes IPv4. */
function parse(text: string): Address | null {
  return ipaddr.isValid(text) ? ipaddr.process(text) : null;
}

/** The canonical address, without port and zone, of `ip:port`, `[v6]:port` or an address alone; null for other text. */
export function parseClientAddress(text: string): string | null {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1];
  const colon = text.lastIndexOf(':');
  const bare = bracketed ?? (colon > 0 && text.indexOf(':') === colon ? text.slice(0, colon) : text);
  return parse(bare.replace(/%.*$/, ''))?.toString() ?? null;
}

/** Identifies a client for limits and placement: the IPv4 address, or the /64 network of an IPv6 address. */
export function clientKey(address: string): string {
  if (!address.includes(':')) return address;
  const parsed = parse(address);
  if (parsed?.kind() !== 'ipv6') return parsed?.toString() ?? address;
  const groups = parsed.toNormalizedString().split(':').slice(0, 4);
  return `${groups.join(':')}::/64`;
}

export type NetworkMatcher = (address: string) => boolean;

/** Whether an address is in one of `networks`: CIDR networks or single addresses. */
export function compileNetworks(networks: readonly string[]): NetworkMatcher {
  const ranges = networks.map((text): [Address, number] => {
    // No `isValidCIDR`, which would parse the network a second time: an isolate compiles all rules of a new snapshot.
    if (text.includes('/')) {
      const [address, bits] = ipaddr.parseCIDR(text);
      // Client addresses of this form become IPv4, so the network must as well.
      const isMapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96;
      return isMapped ? [address.toIPv4Address(), bits - 96] : [address, bits];
    }
    const address = ipaddr.process(text);
    return [address, address.kind() === 'ipv6' ? 128 : 32];
  });
  if (ranges.length === 0) return () => false;
  return (text) => {
    const address = parse(text);
    if (!address) return false;
    return ranges.some(([range, bits]) => range.kind() === address.kind() && address.match(range, bits));
  };
}
