import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isAddressAllowed } from '../registry/address-policy.ts';

/**
 * Name resolution for registered instances: a name that was inside the allowed networks when it was registered may
 * point elsewhere by now, and the agent must not be led to probe there.
 */
export const guardedLookup =
  (networks: readonly string[]): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const allowed = found.filter(({ address }) => isAddressAllowed(address, networks));
      const first = allowed[0];
      if (!first) {
        const refusal = new Error(`${hostname} resolves outside registry.allowNetworks`);
        return callback(Object.assign(refusal, { code: 'EACCES' }), []);
      }
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
