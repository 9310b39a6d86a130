import { parseClientAddress } from '../../shared/address.ts';
import type { EdgeSettings } from '../settings.ts';

export type ClientAddressResult = { ok: true; address: string } | { ok: false; why: string };

const LOOPBACK: ClientAddressResult = { ok: true, address: '127.0.0.1' };

/**
 * The client's address, from the one place the operator named and no other: every header a client could write itself is
 * believed only where the platform overwrites it.
 */
export function readClientAddress(request: Request, settings: EdgeSettings): ClientAddressResult {
  switch (settings.clientAddressSource) {
    case 'cloudflare': {
      const header = request.headers.get('cf-connecting-ip');
      const address = header ? parseClientAddress(header) : null;
      return address ? { ok: true, address } : refused('Cloudflare gave no cf-connecting-ip');
    }
    case 'workerd': {
      const clientIp = (request.cf as { clientIp?: unknown } | undefined)?.clientIp;
      const address = typeof clientIp === 'string' ? parseClientAddress(clientIp) : null;
      return address ? { ok: true, address } : refused('workerd gave no cf.clientIp');
    }
    case 'local': {
      // A deployed Worker always has `cf`: there, a header from the client must never name the client.
      if (request.cf) return refused('CLIENT_ADDRESS_FROM=local is for the local stack only');
      if (!settings.simulateClients) return LOOPBACK;
      const simulated = request.headers.get('x-acgs-sim-client');
      if (simulated === null) return LOOPBACK;
      const address = parseClientAddress(simulated);
      return address
        ? { ok: true, address }
        : refused(`x-acgs-sim-client is no address: ${simulated.slice(0, 64)}`);
    }
  }
}

const refused = (why: string): ClientAddressResult => ({ ok: false, why });
