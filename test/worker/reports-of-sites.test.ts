import { expect, type TestContext, test } from 'vitest';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { toBase64Url } from '../../shared/snapshot/signature.ts';
import { startEdge } from '../harness/edge.ts';
import { eventually } from '../harness/eventually.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

const FRANKFURT = { colo: 'FRA', country: 'DE' } as const;
const SAN_JOSE = { colo: 'SJC', country: 'US' } as const;

/** An edge with two sites, each with its gateway. Each test has its own, because the tests run at the same time. */
async function start(onTestFinished: TestContext['onTestFinished']) {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const pair = await crypto.subtle.generateKey(curve, true, ['sign', 'verify']);
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  const [edge, east, west] = await Promise.all([
    startEdge({
      sites: ['east', 'west'],
      vars: { CLIENT_ADDRESS_FROM: 'cloudflare', GATEWAY_JWT_KEY: `g1:${pkcs8}` },
    }),
    startOrigin('east'),
    startOrigin('west'),
  ]);
  onTestFinished(async () => void (await Promise.all([edge.stop(), east.stop(), west.stop()])));
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
  const ask = async (place: typeof FRANKFURT | typeof SAN_JOSE, times: number): Promise<void> => {
    for (let i = 0; i < times; i++) expect((await edge.fromPlace(place)).status).toBe(200);
  };
  return { east, west, ask };
}

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

test.concurrent('each site gets the requests that it served, without another request to trigger the report', async ({
  onTestFinished,
}) => {
  const { east, west, ask } = await start(onTestFinished);
  await ask(FRANKFURT, 7);
  await ask(SAN_JOSE, 5);
  await eventually(() => expect([counted(east), counted(west)]).toEqual([7, 5]));
});

test.concurrent('a report that arrived without an answer is sent again as it was, so it counts once', async ({
  onTestFinished,
}) => {
  const { east, west, ask } = await start(onTestFinished);
  let answers = 0;
  east.answer((request, response) => {
    if (request.url !== '/__acgs/edge-reports') response.end('ok');
    else if (++answers === 1) request.socket.destroy();
    else response.writeHead(204).end();
  });
  await ask(FRANKFURT, 7);
  await eventually(() => expect(reportsAt(east).length).toBe(1));
  await ask(FRANKFURT, 4);
  await eventually(() => expect(reportsAt(east).length).toBeGreaterThan(1));
  await ask(FRANKFURT, 1);
  await eventually(() => expect(counted(east)).toBe(12));
  const [first, second] = reportsAt(east);
  expect(second).toEqual(first);
  expect(counted(west)).toBe(0);
});

test.concurrent('when the gateway of a site is gone, another site reports its requests: none lost, none twice', async ({
  onTestFinished,
}) => {
  const { east, west, ask } = await start(onTestFinished);
  await ask(FRANKFURT, 6);
  await east.stop();
  await ask(FRANKFURT, 9);
  await ask(SAN_JOSE, 3);
  await eventually(() => expect(counted(west)).toBeGreaterThan(0));
  await ask(SAN_JOSE, 2);
  await eventually(() => expect(counted(west)).toBe(20));
});
