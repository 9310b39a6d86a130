import { parseClientAddress } from '../../shared/address.ts';
import type { EdgeSettings } from '../settings.ts';

type ClientAddressResult = { ok: true; address: string } | { ok: false; why: string };

const LOOPBACK = '127.0.0.1';

/**
 * The client's address, from the one source in CLIENT_ADDRESS_FROM and no other. A header is trusted only where the
 * platform overwrites it.
 */
export function readClientAddress(
  request: Request,
  fields: Pick<Headers, 'get'>,
  settings: EdgeSettings,
): ClientAddressResult {
  switch (settings.clientAddressSource) {
    case 'cloudflare': {
      const header = fields.get('cf-connecting-ip');
      return parsed(header, 'Cloudflare sent no valid cf-connecting-ip header');
    }
    case 'workerd': {
      const clientIp = (request.cf as { clientIp?: unknown } | undefined)?.clientIp;
      return parsed(clientIp, 'workerd set no valid cf.clientIp');
    }
    case 'local':
      return localAddress(request, settings.simulateClients ? fields.get('x-acgs-sim-client') : null);
  }
}

function localAddress(request: Request, simulated: string | null): ClientAddressResult {
  // A deployed Worker always has `cf`. There a client must not choose its own address.
  if (request.cf) return { ok: false, why: 'CLIENT_ADDRESS_FROM=local is for the local stack only' };
  if (simulated === null) return { ok: true, address: LOOPBACK };
  return parsed(simulated, `x-acgs-sim-client is not an IP address: ${simulated.slice(0, 64)}`);
}

function parsed(value: unknown, why: string): ClientAddressResult {
  const address = typeof value === 'string' ? parseClientAddress(value) : null;
  return address ? { ok: true, address } : { ok: false, why };
}
