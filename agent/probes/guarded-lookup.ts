import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isAddressAllowed } from '../registry/address-policy.ts';

/**
 * Name resolution for registered instances, restricted to `networks`. A host name that was allowed at registration may
 * resolve to another address later, and the agent must not probe that address.
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
