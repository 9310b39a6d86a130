import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { toBase64Url } from '../../shared/snapshot/signature.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

const FRANKFURT = { colo: 'FRA', country: 'DE' } as const;
const SAN_JOSE = { colo: 'SJC', country: 'US' } as const;

let edge: TestEdge;
let east: Origin;
let west: Origin;

beforeEach(async () => {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const pair = await crypto.subtle.generateKey(curve, true, ['sign', 'verify']);
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  [edge, east, west] = await Promise.all([
    startEdge({
      sites: ['east', 'west'],
      vars: { CLIENT_ADDRESS_FROM: 'cloudflare', GATEWAY_JWT_KEY: `g1:${pkcs8}` },
    }),
    startOrigin('east'),
    startOrigin('west'),
  ]);
  for (const [site, gateway, near] of [
    ['east', east, 'DE'],
    ['west', west, 'US'],
  ] as const) {
    const published = await edge.publish({
      site,
      gateways: [gateway.url],
      near: [near],
      services: { gs: service({ instances: [instance(`${site}-1`, 'http://192.0.2.1')] }) },
    });
    expect(published.status).toBe(200);
  }
});
afterEach(async () => {
  await Promise.all([edge.stop(), east.stop(), west.stop()]);
});

const reportsAt = ({ requests }: Origin): EdgeReport[] =>
  requests
    .filter((one) => one.url === '/__acgs/edge-reports')
    .map((one) => JSON.parse(one.body) as EdgeReport);

/** Requests in the reports of a gateway, each report once, as its agent counts them. */
function counted(gateway: Origin): number {
  const reports = new Map(reportsAt(gateway).map((report) => [`${report.isolate} ${report.seq}`, report]));
  return [...reports.values()].reduce(
    (sum, { requests }) => sum + requests.reduce((total, one) => total + one.total, 0),
    0,
  );
}

async function ask(place: typeof FRANKFURT | typeof SAN_JOSE, times: number): Promise<void> {
  for (let i = 0; i < times; i++) expect((await edge.fromPlace(place)).status).toBe(200);
}

test('each site gets the requests that it served, without another request to trigger the report', async () => {
  await ask(FRANKFURT, 7);
  await ask(SAN_JOSE, 5);
  await expect.poll(() => [counted(east), counted(west)], { timeout: 60_000 }).toEqual([7, 5]);
});

test('a report that arrived without an answer is sent again as it was, so it counts once', async () => {
  let answers = 0;
  east.answer((request, response) => {
    if (request.url !== '/__acgs/edge-reports') response.end('ok');
    else if (++answers === 1) request.socket.destroy();
    else response.writeHead(204).end();
  });
  await ask(FRANKFURT, 7);
  await expect.poll(() => reportsAt(east).length, { timeout: 60_000 }).toBe(1);
  await ask(FRANKFURT, 4);
  await expect.poll(() => reportsAt(east).length, { timeout: 60_000 }).toBeGreaterThan(1);
  await ask(FRANKFURT, 1);
  await expect.poll(() => counted(east), { timeout: 60_000 }).toBe(12);
  const [first, second] = reportsAt(east);
  expect(second).toEqual(first);
  expect(counted(west)).toBe(0);
});

test('when the gateway of a site is gone, another site reports its requests: none lost, none twice', async () => {
  await ask(FRANKFURT, 6);
  await east.stop();
  await ask(FRANKFURT, 9);
  await ask(SAN_JOSE, 3);
  await expect.poll(() => counted(west), { timeout: 60_000, interval: 1_000 }).toBeGreaterThan(0);
  await ask(SAN_JOSE, 2);
  await expect.poll(() => counted(west), { timeout: 60_000, interval: 1_000 }).toBe(20);
});
