import { createPrivateKey, sign } from 'node:crypto';
import { shippedTemplate } from '../agent/haproxy/render/assets.ts';
import { startGateway } from './gateway.ts';
import { startBackend } from './rig.ts';
import { CONNECTIONS, median, wrk } from './wrk.ts';

const ROUNDS = 5;
const SECONDS = 1;
/** The line by which a token that was verified before is believed. */
const REMEMBERED = /^.*table_gpt0\(_tokens\).*\n/m;

/** What an edge token costs HAProxy, one thread: with none, remembered as shipped, and verified with every request. */
export async function benchEdgeToken(): Promise<void> {
  const shipped = shippedTemplate();
  const forgetful = shipped.replace(REMEMBERED, '');
  if (forgetful === shipped) throw new Error('the template no longer remembers tokens by _tokens');
  const backend = await startBackend();
  const [remembers, forgets] = [
    await startGateway(backend.url, { requireEdge: false }),
    await startGateway(backend.url, { requireEdge: false, template: forgetful }),
  ];
  try {
    const token = (gateway: typeof remembers) => [`x-acgs-edge: ${edgeToken(gateway.jwtKey)}`];
    const ways = [
      { what: 'no token', gateway: remembers, headers: [], micros: [] as number[] },
      { what: 'remembered', gateway: remembers, headers: token(remembers), micros: [] as number[] },
      { what: 'verified every time', gateway: forgets, headers: token(forgets), micros: [] as number[] },
    ];
    for (let round = 0; round < ROUNDS; round++) {
      for (const { gateway, headers, micros } of ways) {
        const before = gateway.cpuMicros();
        const { requests, failed } = await wrk(`${gateway.url}/gateway/x`, SECONDS, headers);
        if (failed > 0) throw new Error(`${failed} answers were not 2xx`);
        micros.push((gateway.cpuMicros() - before) / requests);
      }
    }
    const least = ways[0]?.micros ?? [];
    console.log(
      `\nEdge token at HAProxy: GET passed on, ${CONNECTIONS} connections, median of ${ROUNDS} × ${SECONDS} s`,
    );
    console.table(
      ways.map(({ what, micros }) => ({
        what,
        'HAProxy µs/req': Math.round(median(micros)),
        'of no token': median(micros.map((value, round) => value / (least[round] ?? value))).toFixed(2),
      })),
    );
  } finally {
    await Promise.all([remembers.stop(), forgets.stop()]);
    await backend.stop();
  }
}

/** Good for as long as HAProxy believes any token. */
function edgeToken(jwtKey: string): string {
  const [kid = '', der = ''] = jwtKey.split(':');
  const key = createPrivateKey({ key: Buffer.from(der, 'base64url'), format: 'der', type: 'pkcs8' });
  const seconds = Math.floor(Date.now() / 1000);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'acgs-edge', aud: 'main', iat: seconds, exp: seconds + 115 };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}
