import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { isPortFree } from '../../../dev/ports.ts';
import { startChild } from '../../../dev/servers/child.ts';
import type { StackFile } from '../../../dev/stack/stack-file.ts';
import type { Fleet } from '../fleet.ts';
import type { RunningPeer } from './peer.ts';

/** The three ways to a service of acgs-lb. */
export const OUR_WAYS = {
  edge: 'acgs-lb: edge, gateway',
  gateway: 'acgs-lb: gateway alone',
  direct: 'acgs-lb: edge, direct',
} as const;
export type OurWay = keyof typeof OUR_WAYS;

/** The whole load comes from one address. */
const NO_LIMITS = { defaults: { rateLimits: [] }, haproxy: { rateLimit: 'off' } };
/** With `stack.json`, to look inside. */
export interface OurPeer extends RunningPeer {
  readonly stack: StackFile;
}

const ROOT = join(import.meta.dirname, '../../..');

/** The ports of the local stack that an offset shifts. */
const STACK_PORTS = [8787, 8090, 8080, 9400, 9401, 6390, 5442];

/** Above the ports that the fleets and the peers use. */
export async function freeOffset(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const offset = randomInt(190, 233) * 100;
    const free = await Promise.all(STACK_PORTS.map((port) => isPortFree(port + offset)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error('no free port offset found');
}

/** One local stack with default settings and one service for each way, so that each has its own fleet and traffic. */
export async function startOurs(
  fleets: ReadonlyMap<OurWay, Fleet>,
  folder: string,
): Promise<Map<OurWay, OurPeer>> {
  const configFile = join(folder, 'acgs-lb.yaml');
  const services = Object.fromEntries(
    [...fleets].map(([way, fleet]) => [
      way,
      {
        routes: [`/${way}`],
        ...(way === 'direct' ? { path: 'direct' } : {}),
        health: { path: '/health' },
        instances: fleet.instances.map(({ id, host, port }) => ({ id, url: `http://${host}:${port}` })),
      },
    ]),
  );
  writeFileSync(configFile, stringify({ version: 1, site: { id: 'main' }, ...NO_LIMITS, services }));
  const stateDir = join(folder, 'acgs-lb');
  const offset = await freeOffset();
  const child = await startChild({
    name: 'acgs-lb',
    command: process.execPath,
    args: [
      join(ROOT, 'dev/start.mjs'),
      '--no-demo',
      '--no-install',
      '--config',
      configFile,
      '--state-dir',
      stateDir,
      '--port-offset',
      String(offset),
    ],
    logFile: join(folder, 'acgs-lb.log'),
    cwd: ROOT,
    stopSignal: 'SIGTERM',
  });
  const stackFile = join(stateDir, 'stack.json');
  while (!existsSync(stackFile)) {
    if (!child.running) throw new Error(`acgs-lb did not start:\n${child.tail(20)}`);
    await sleep(50);
  }
  const stack = JSON.parse(readFileSync(stackFile, 'utf8')) as StackFile;
  let stopping: Promise<void> | undefined;
  // All three share one stack.
  const stop = (): Promise<void> => {
    stopping ??= child.stop(30_000);
    return stopping;
  };
  return new Map(
    [...fleets.keys()].map((way) => {
      const origin = way === 'gateway' ? stack.gateway : stack.edge;
      return [way, { url: `${origin}/${way}`, stop, stack }];
    }),
  );
}
