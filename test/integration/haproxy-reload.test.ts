import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { DesiredServer } from '../../agent/haproxy/reconciler/desired.ts';
import { createFleet } from '../../agent/haproxy/reconciler/fleet.ts';
import { createHaproxyFiles, type HaproxyFiles } from '../../agent/haproxy/render/haproxy-files.ts';
import type { Config } from '../../shared/config/config.ts';
import { sampleInstance } from '../harness/instance.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startHaproxyHarness } from './haproxy-harness.ts';

const URL_OF = { 'a-1': 'http://127.0.0.1:1', 'a-2': 'http://127.0.0.1:2' };

/** A fleet over a real HAProxy whose rounds are taken by hand, and in whose rounds something can happen. */
async function rounds() {
  const stand = await startHaproxyHarness({
    services: `a: { routes: [/], instances: [ { id: a-1, url: "${URL_OF['a-1']}" }, { id: a-2, url: "${URL_OF['a-2']}" } ] }`,
  });
  let config: Config = stand.config;
  let desired = new Map<string, DesiredServer>();
  const files = createHaproxyFiles({ config: () => config, secrets: stand.secrets });
  /** Registers a-1 with so many connections. */
  const want = (maxconn?: number) => {
    const more = maxconn === undefined ? {} : { maxconn };
    const instances = Object.entries(URL_OF).map(([id, url]) =>
      sampleInstance({ id, url, service: 'a', ...(id === 'a-1' && more) }),
    );
    files.setInstances(instances);
    desired = new Map(
      instances.map(({ id, url, service, maxconn: most }) => [
        `a/${id}`,
        {
          ...{ service, instance: id, url, verdict: null, reason: '', admin: 'ready', weight: 100 },
          ...{ priority: 1, ...(most === undefined ? {} : { maxconn: most }) },
        },
      ]),
    );
  };
  want();
  const during: Partial<Record<'write' | 'saveStates', () => void>> = {};
  /** As the files are, but that what is to happen happens right after one of their works. */
  const then = async (name: 'write' | 'saveStates', work: Promise<void>) => {
    await work;
    const happen = during[name];
    delete during[name];
    happen?.();
  };
  const watched: HaproxyFiles = {
    ...files,
    write: () => then('write', files.write()),
    saveServerStates: (states) => then('saveStates', files.saveServerStates(states)),
  };
  const fleet = createFleet({
    ...{ config: () => config, desired: () => desired, files: watched, log: pino({ level: 'silent' }) },
    ...{ emit() {}, hint() {}, now: Date.now },
  });
  releaseAfterTests(async () => fleet.close());
  return {
    ...{ during, want, round: () => fleet.reconcile() },
    /** Rounds until it reads so, for less long than a reload that did not help is held back. */
    settles: (read: () => Promise<string | undefined>, wanted: string) =>
      until(
        async () => {
          await fleet.reconcile();
          return (await read()) === wanted;
        },
        { withinMs: 25_000 },
      ),
    reconfigure(haproxy: Partial<Config['haproxy']>) {
      config = { ...config, haproxy: { ...config.haproxy, ...haproxy } };
      files.markStale();
    },
    maxconn: async () => /^Maxconn: (\d+)$/m.exec(await stand.ask('show info'))?.[1],
    /** The column `slim`. */
    limit: async () => /^a,a-1,(?:[^,]*,){4}(\d+),/m.exec(await stand.ask('show stat a 4 -1'))?.[1],
  };
}

test('a configuration that comes in the middle of a round is in force after the next one', async () => {
  const { round, settles, during, reconfigure, maxconn } = await rounds();
  await round();
  during.write = () => reconfigure({ maxconn: 1234 });
  await round();
  expect(await settles(maxconn, '1234')).toBe(true);
});

test('so is what was registered anew as another kind of server, in the middle of a round or of a reload', async () => {
  const { round, settles, during, want, reconfigure, maxconn, limit } = await rounds();
  await round();
  during.write = () => want(7);
  await round();
  expect(await settles(limit, '7')).toBe(true);
  // Between the files and the new worker.
  reconfigure({ maxconn: 1234 });
  during.saveStates = () => want(8);
  expect(await settles(maxconn, '1234')).toBe(true);
  expect(await settles(limit, '8')).toBe(true);
});

test('a HAProxy of another host that answers and never ends holds up nothing at our own', async () => {
  const { round, reconfigure } = await rounds();
  // Not silent, so that no timeout lets go of it.
  const sockets = new Set<Socket>();
  const drip = setInterval(() => {
    for (const socket of sockets) socket.write('x');
  }, 100);
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  releaseAfterTests(async () => {
    clearInterval(drip);
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  reconfigure({ others: [{ name: 'drip', socket: `127.0.0.1:${port}` }] });
  for (let count = 0; count < 3; count++) expect(await round()).toBeDefined();
});
