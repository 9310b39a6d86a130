import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../dev/ports.ts';
import * as services from '../../dev/stack/services.ts';
import { type Fleet, startFleet } from '../compare/fleet.ts';
import type { FaultyHost } from '../compare/namespace.ts';
import { PostCounter } from '../compare/post-counter.ts';
import { Part } from './part.ts';
import { type Relay, startRelay } from './relay.ts';
import { type SecondSite, startSecondSite } from './second-site.ts';
import { type ServiceSettings, type Site, type SiteNode, startSite } from './site.ts';

export interface BedOptions {
  /** Instances of each service. Default: three of `red` and three of `blue`. */
  sizes?: Readonly<Record<string, number>>;
  settings?: Readonly<Record<string, ServiceSettings>>;
  nodes?: number;
  /** Instance 0 of `red` runs on a host of its own, whose packets can be dropped. */
  faultyHost?: FaultyHost | undefined;
  /** A fault may move the clock of the agent (Debian package faketime). */
  movableClock?: boolean;
  /** A second site in a network namespace. */
  twoSites?: boolean;
}

export interface BedInstance {
  service: string;
  index: number;
  id: string;
}

/** The whole system with instances that can fail, an edge in workerd, and a relay that breaks publishing. */
export interface Bed {
  readonly fleets: ReadonlyMap<string, Fleet>;
  readonly instances: readonly BedInstance[];
  readonly site: Site;
  readonly node: SiteNode;
  readonly relay: Relay;
  readonly edgeUrl: string;
  /** Storage of the edge. */
  readonly edgeFolder: string;
  readonly faultyHost: FaultyHost | undefined;
  readonly secondSite: SecondSite | null;
  readonly posts: PostCounter;
  /** Contains the offset of the agent's clock in seconds: `+3600`. */
  readonly clockFile: string | null;
  edgePid(): number;
  /** The last lines of the log of the edge that clients used last. */
  edgeLog(): string;
  /** Where clients send their requests. */
  target(): string;
  fleet(service: string): Fleet;
  /** The node whose agent leads. */
  leader(): Promise<SiteNode>;
  /** Sends the clients to another edge. `prepare` gets the folder of its storage, and returns further arguments. */
  moveToColdEdge(prepare: (folder: string) => readonly string[]): Promise<void>;
  moveBack(): Promise<void>;
  stop(): Promise<void>;
}

const DEFAULT_SIZES = { red: 3, blue: 3 };
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

export async function startBed(options: BedOptions = {}): Promise<Bed> {
  const { sizes = DEFAULT_SIZES, faultyHost } = options;
  const posts = new PostCounter();
  const fleets = new Map(
    await Promise.all(
      Object.entries(sizes).map(async ([name, size]) => {
        const host = name === 'red' ? faultyHost : undefined;
        return [name, await startFleet({ name, size, faultyHost: host, posts })] as const;
      }),
    ),
  );
  const edgePort = await freePort();
  const relay = await startRelay(`http://127.0.0.1:${edgePort}`);
  const site = await startSite({
    id: 'main',
    host: '127.0.0.1',
    fleets,
    publishUrl: relay.url,
    ...(options.settings && { settings: options.settings }),
    ...(options.nodes && { nodes: options.nodes }),
    ...(options.movableClock && { clockLibrary: FAKETIME }),
  });
  const { GATEWAY_JWT_KEY, EDGE_JWT_PUBLIC_KEYS } = site.secrets;
  const shared = { GATEWAY_JWT_KEY, EDGE_JWT_PUBLIC_KEYS };
  const secondSite = options.twoSites
    ? await startSecondSite(`http://127.0.0.1:${edgePort}`, shared, posts)
    : null;
  const bed = await assemble({ options, fleets, posts, relay, site, secondSite, edgePort });
  try {
    await waitUntilServing(bed);
    return bed;
  } catch (error) {
    await bed.stop();
    throw error;
  }
}

interface BedParts {
  options: BedOptions;
  fleets: ReadonlyMap<string, Fleet>;
  posts: PostCounter;
  relay: Relay;
  site: Site;
  secondSite: SecondSite | null;
  edgePort: number;
}

async function assemble(parts: BedParts): Promise<Bed> {
  const { options, fleets, posts, relay, site, secondSite, edgePort } = parts;
  const [node] = site.nodes;
  if (!node) throw new Error('the site has no node');
  const sites = secondSite && {
    SITES: `${site.id},west`,
    SNAPSHOT_PUBLIC_KEYS: `${site.secrets.SNAPSHOT_PUBLIC_KEYS},${secondSite.publicKeys}`,
  };
  const edge = await edgePart(node, edgePort, 'edge-0', { env: sites ?? {} }).start();
  const edgeUrl = `http://127.0.0.1:${edgePort}`;
  let target = edgeUrl;
  let cold: Part | null = null;
  let coldLog = '';
  return {
    fleets,
    instances: [...fleets].flatMap(([service, fleet]) =>
      fleet.instances.map(({ id }, index) => ({ service, index, id })),
    ),
    site,
    node,
    relay,
    edgeUrl,
    edgeFolder: storageOf(node, 'edge-0'),
    faultyHost: options.faultyHost,
    secondSite,
    posts,
    clockFile: options.movableClock && existsSync(FAKETIME) ? site.clockFile : null,
    edgePid: () => edge.pid,
    edgeLog: () => coldLog || edge.tail(),
    target: () => target,
    fleet(service) {
      const fleet = fleets.get(service);
      if (!fleet) throw new Error(`no service ${service}`);
      return fleet;
    },
    async leader() {
      for (const one of site.nodes) if ((await roleOf(one)) === 'leader') return one;
      throw new Error('no agent leads');
    },
    async moveToColdEdge(prepare) {
      const port = await freePort();
      const name = `edge-${port}`;
      mkdirSync(storageOf(node, name), { recursive: true });
      cold = await edgePart(node, port, name, { args: prepare(storageOf(node, name)) }).start();
      target = `http://127.0.0.1:${port}`;
    },
    async moveBack() {
      target = edgeUrl;
      // The last requests of the cold edge end first.
      await sleep(1_000);
      coldLog = cold?.tail() ?? '';
      await cold?.stop();
      cold = null;
    },
    async stop() {
      await cold?.stop();
      await edge.stop();
      await secondSite?.stop();
      await site.stop();
      await relay.stop();
      await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
    },
  };
}

async function roleOf({ api }: SiteNode): Promise<string> {
  const response = await fetch(`${api}/v1/status`, { signal: AbortSignal.timeout(1_000) });
  return ((await response.json()) as { leader: { role: string } }).leader.role;
}

const storageOf = ({ context }: SiteNode, name: string): string =>
  join(context.layout.stateDir, name, 'edge');

interface EdgeProcess {
  args?: readonly string[];
  env?: NodeJS.ProcessEnv;
}

function edgePart(
  { context }: SiteNode,
  port: number,
  name: string,
  { args = [], env = {} }: EdgeProcess,
): Part {
  const runFolder = join(context.layout.stateDir, name);
  mkdirSync(runFolder, { recursive: true });
  const own = {
    ...context,
    layout: { ...context.layout, runFolder, stateDir: runFolder },
    derived: { ...context.derived, edge: { host: '127.0.0.1', port } },
  };
  return new Part(services.edgeService(own, { TRACE_SAMPLE: '0.01', ...env }, args));
}

/** Overwrites every stored value in a copy of the edge's KV. */
export function corruptFiles(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, name);
    if (!name.includes('blobs') || !statSync(file).isFile()) continue;
    const descriptor = openSync(file, 'r+');
    writeSync(descriptor, '#####', 200);
    closeSync(descriptor);
  }
}

/** Waits until each service answers through the edge and the agent has every instance in service. */
export async function waitUntilServing(bed: Bed): Promise<void> {
  if (await servesWithin(bed, 60_000)) return;
  throw new Error(`not every instance serves after a minute:\n${bed.node.agent.tail()}`);
}

export async function servesWithin(bed: Bed, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  do {
    if (await isServing(bed)) return true;
    await sleep(100);
  } while (performance.now() < deadline);
  return false;
}

async function isServing(bed: Bed): Promise<boolean> {
  const states = await instanceStates(bed.node.api).catch(() => []);
  const serving = states.filter(({ state }) => state === 'up' || state === 'probation');
  if (serving.length < bed.instances.length) return false;
  const answers = await Promise.all([...bed.fleets.keys()].map((service) => servedBy(bed, service)));
  return answers.every((name) => name !== null) && (!bed.secondSite || (await usesBothSites(bed)));
}

/** The instance that answers through the edge; null: none does. */
async function servedBy({ edgeUrl }: Bed, service: string): Promise<string | null> {
  const response = await fetch(`${edgeUrl}/${service}/x`, { signal: AbortSignal.timeout(2_000) }).catch(
    () => null,
  );
  await response?.body?.cancel();
  return response?.ok ? response.headers.get('x-served-by') : null;
}

const SITE_SAMPLES = 12;

/** The edge picks each site for half of the requests. */
async function usesBothSites(bed: Bed): Promise<boolean> {
  const [service = ''] = bed.fleets.keys();
  const names = await Promise.all(Array.from({ length: SITE_SAMPLES }, () => servedBy(bed, service)));
  const isWest = (name: string | null): boolean => name?.includes('-west-') === true;
  return names.some(isWest) && !names.every(isWest);
}

export interface BedInstanceState {
  id: string;
  service: string;
  state: string;
  breaker: string;
  reason: string;
  outlier?: { cause: string; share: number };
}

export async function instanceStates(api: string): Promise<BedInstanceState[]> {
  const response = await fetch(`${api}/v1/services`, { signal: AbortSignal.timeout(1_000) });
  const { services: all } = (await response.json()) as { services: { instances: BedInstanceState[] }[] };
  return all.flatMap(({ instances }) => instances);
}
