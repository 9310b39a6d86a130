import { createPrivateKey } from 'node:crypto';
import { SignJWT } from 'jose';
import { shippedTemplate } from '../agent/haproxy/render/assets.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { startBackend } from './rig.ts';
import { type BenchTable, ROUNDS, tableOf } from './table.ts';
import { CONNECTIONS, wrk } from './wrk.ts';

const SECONDS = 1;
/** The template line that accepts a token that was verified before. */
const CACHE_LOOKUP = /^.*table_gpt0\(_tokens\).*\n/m;

interface Variant {
  what: string;
  gateway: Gateway;
  headers: string[];
  /** CPU time of HAProxy per request in each round, microseconds. */
  micros: number[];
}

/** CPU cost of an edge token in HAProxy, one thread: no token, cached as shipped, and verified with every request. */
export async function benchEdgeToken(): Promise<BenchTable[]> {
  const shipped = shippedTemplate();
  const uncached = shipped.replace(CACHE_LOOKUP, '');
  if (uncached === shipped) throw new Error('the template has no lookup in the _tokens table');
  const backend = await startBackend();
  const [cachedGateway, uncachedGateway] = [
    await startGateway(backend.url, { requireEdge: false }),
    await startGateway(backend.url, { requireEdge: false, template: uncached }),
  ];
  try {
    const token = async ({ jwtKey }: Gateway) => [`x-acgs-edge: ${await edgeToken(jwtKey)}`];
    const variants: Variant[] = [
      { what: 'no token', gateway: cachedGateway, headers: [], micros: [] },
      { what: 'cached', gateway: cachedGateway, headers: await token(cachedGateway), micros: [] },
      {
        what: 'verified every time',
        gateway: uncachedGateway,
        headers: await token(uncachedGateway),
        micros: [],
      },
    ];
    for (let round = 0; round < ROUNDS; round++) {
      for (const { gateway, headers, micros } of variants) {
        const before = gateway.cpuMicros();
        const { requests } = await wrk(`${gateway.url}/gateway/x`, SECONDS, headers);
        micros.push((gateway.cpuMicros() - before) / requests);
      }
    }
    return [
      tableOf(
        `Processor time of HAProxy: forwarded GET, ${CONNECTIONS} connections`,
        'µs per request',
        variants.map(({ what, micros }) => ({ what, rounds: micros })),
      ),
    ];
  } finally {
    await Promise.all([cachedGateway.stop(), uncachedGateway.stop()]);
    await backend.stop();
  }
}

/** A token with the longest lifetime that HAProxy accepts. */
export function edgeToken(jwtKey: string): Promise<string> {
  const [kid = '', der = ''] = jwtKey.split(':');
  const key = createPrivateKey({ key: Buffer.from(der, 'base64url'), format: 'der', type: 'pkcs8' });
  return new SignJWT()
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid })
    .setIssuer('acgs-edge')
    .setAudience('main')
    .setIssuedAt()
    .setExpirationTime('115s')
    .sign(key);
}
