import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { computeDesiredServers } from '../../agent/haproxy/reconciler/desired.ts';
import { createHaproxyFleet } from '../../agent/haproxy/reconciler/fleet.ts';
import { createHaproxyFiles } from '../../agent/haproxy/render/haproxy-files.ts';
import type { Config } from '../../shared/config/config.ts';
import { sampleInstance } from '../harness/instance.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startHaproxyHarness } from './haproxy-harness.ts';

const URL_OF = { 'a-1': 'http://127.0.0.1:1', 'a-2': 'http://127.0.0.1:2' };

/** A fleet over a real HAProxy, with hooks after the file operations of its rounds. */
async function startFleet() {
  const harness = await startHaproxyHarness({
    services: `a: { routes: [/], instances: [ { id: a-1, url: "${URL_OF['a-1']}" }, { id: a-2, url: "${URL_OF['a-2']}" } ] }`,
  });
  let config: Config = harness.config;
  let rounds = 0;
  const files = createHaproxyFiles({ config: () => config, secrets: harness.secrets });
  const hooks: Partial<Record<'write' | 'saveStates', () => void>> = {};
  const withHook = async (name: 'write' | 'saveStates', work: Promise<void>) => {
    await work;
    const hook = hooks[name];
    delete hooks[name];
    hook?.();
  };
  const fleet = createHaproxyFleet({
    config: () => config,
    files: {
      ...files,
      write: () => withHook('write', files.write()),
      saveStateFile: (text) => withHook('saveStates', files.saveStateFile(text)),
    },
    takeMalformed: () => new Map(),
    log: pino({ level: 'silent' }),
    onTraffic() {},
    onConnectFailure() {},
    isShort: () => false,
    onRound: () => {
      rounds += 1;
    },
    now: Date.now,
  });
  releaseAfterTests(async () => {
    await fleet.release();
    fleet.close();
  });
  const started = {
    hooks,
    /** Sets the maxconn of a-1. */
    want(maxconn?: number) {
      const instances = Object.entries(URL_OF).map(([id, url]) =>
        sampleInstance({ id, url, service: 'a', ...(id === 'a-1' && maxconn !== undefined && { maxconn }) }),
      );
      files.setInstances(instances);
      fleet.update(computeDesiredServers(instances, new Set()), [
        { kind: 'registered', service: 'a', instance: 'a-1', at: 0, reason: 'test' },
      ]);
    },
    nextRounds(count: number) {
      const end = rounds + count;
      return until(() => rounds >= end);
    },
    /** Waits less long than an unsuccessful reload is paused. */
    becomes: (read: () => Promise<string | undefined>, wanted: string) =>
      until(async () => (await read()) === wanted, { withinMs: 25_000 }),
    reconfigure(haproxy: Partial<Config['haproxy']>) {
      config = { ...config, haproxy: { ...config.haproxy, ...haproxy } };
      files.markStale();
      fleet.reconfigured();
    },
    maxconn: async () => /^Maxconn: (\d+)$/m.exec(await harness.execute('show info'))?.[1],
    /** The column `slim`. */
    limit: async () => /^a,a-1,(?:[^,]*,){4}(\d+),/m.exec(await harness.execute('show stat a 4 -1'))?.[1],
  };
  started.want();
  expect(await started.nextRounds(1)).toBe(true);
  return started;
}

test('a configuration that changes during a round takes effect after the next one', async () => {
  const { becomes, hooks, reconfigure, maxconn } = await startFleet();
  hooks.write = () => reconfigure({ maxconn: 1234 });
  expect(await becomes(maxconn, '1234')).toBe(true);
});

test('an instance registered again with another maxconn during a round or a reload gets it after the next round', async () => {
  const { becomes, hooks, want, reconfigure, maxconn, limit } = await startFleet();
  hooks.write = () => want(7);
  expect(await becomes(limit, '7')).toBe(true);
  // Between the files and the new worker.
  reconfigure({ maxconn: 1234 });
  hooks.saveStates = () => want(8);
  expect(await becomes(maxconn, '1234')).toBe(true);
  expect(await becomes(limit, '8')).toBe(true);
});

test('another HAProxy whose response never ends does not delay the own one', async () => {
  const { nextRounds, reconfigure } = await startFleet();
  // It sends data all the time, so no timeout closes the connection.
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
  // Only the own HAProxy can end a round.
  expect(await nextRounds(3)).toBe(true);
});
