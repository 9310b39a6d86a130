import type { ServiceConfig } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { SimulatedAgent } from './agent.ts';
import { Random, VirtualClock } from './clock.ts';
import { type ClientRequest, Isolate, type Path, type RequestOutcome } from './edge.ts';
import { type Balance, Gateway } from './gateway.ts';
import { SimulatedInstance } from './instance.ts';

export interface SimulationOptions {
  readonly seed?: number;
  readonly instances?: number;
  /** Requests a second, Poisson arrivals. */
  readonly rate?: number;
  readonly postShare?: number;
  readonly isolates?: number;
  readonly snapshotAgeMs?: number;
  readonly path?: Path;
  /** HAProxy's algorithm; `shortest` is a true shortest queue, the best there is. */
  readonly balance?: Balance;
  readonly strategy?: string;
  readonly meanMs?: number;
  readonly sigma?: number;
  readonly slots?: number;
  readonly maxconn?: number;
  readonly hedge?: boolean;
  /** Of one attempt, seconds. */
  readonly timeout?: number;
  readonly outlier?: 'on' | 'off';
}

/** What the clients got between two instants. */
export interface Tally {
  gets: number;
  getsFailed: number;
  getsSlow: number;
  posts: number;
  postsFailed: number;
  postsStuck: number;
  hedges: number;
  attempts: number;
  /** When the last client was hurt, milliseconds of the run; null: none was. */
  lastHurtAt: number | null;
  /** Of every answer. */
  times: number[];
  byInstance: Map<string, number>;
}

const SLOW_MS = 500;
const CLIENT_TIMEOUT_MS = 10_000;
/** Nothing counts before it, and no fault begins. */
export const WARM_UP_MS = 15_000;

export const newTally = (): Tally => ({
  gets: 0,
  getsFailed: 0,
  getsSlow: 0,
  posts: 0,
  postsFailed: 0,
  postsStuck: 0,
  hedges: 0,
  attempts: 0,
  lastHurtAt: null,
  times: [],
  byInstance: new Map(),
});

/** The whole system under one virtual clock. */
export class Simulation {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly instances: readonly SimulatedInstance[];
  readonly gateway: Gateway;
  readonly agent: SimulatedAgent;
  readonly service: ServiceConfig;
  /** Requests a second; may change while it runs. */
  rate: number;
  tally = newTally();
  readonly #options: SimulationOptions;
  readonly #isolates: (Isolate | undefined)[];

  constructor(options: SimulationOptions = {}) {
    this.#options = options;
    const { seed = 1, instances = 3, rate = 50 * instances, meanMs = 5, sigma = 0.5, slots = 64 } = options;
    this.random = new Random(seed);
    this.rate = rate;
    this.service = serviceConfig(options);
    const { clock, random, service } = this;
    this.instances = Array.from(
      { length: instances },
      (_, index) => new SimulatedInstance(`gs-${index + 1}`, { clock, random, meanMs, sigma, slots }),
    );
    this.gateway = new Gateway(this.instances, {
      clock,
      random,
      balance: options.balance ?? BALANCE[service.strategy] ?? 'random',
      maxconn: service.maxconn,
      timeoutMs: service.timeout,
      onConnectFailure: (id) => this.agent.onConnectFailure(id),
    });
    this.agent = new SimulatedAgent({
      clock,
      random,
      service,
      gateway: this.gateway,
      instances: this.instances,
    });
    this.#isolates = Array.from({ length: options.isolates ?? 1 });
    this.#arrive();
  }

  /** The instance at this place, from 0. */
  instance(index: number): SimulatedInstance {
    const instance = this.instances[index];
    if (!instance) throw new Error(`no instance ${index}`);
    return instance;
  }

  runUntil(ms: number): void {
    this.clock.run(ms);
  }

  /** A request beside the arrivals. Only arrivals are counted in the tally. */
  request(request: Partial<ClientRequest>, done: (outcome: RequestOutcome) => void = () => undefined): void {
    this.#isolate().send({ method: 'GET', holdMs: 0, pin: null, ...request }, done);
  }

  #arrive(): void {
    const pause = this.random.exponential(1_000 / Math.max(this.rate, 1e-6));
    this.clock.after(pause, () => {
      const method = this.random.next() < (this.#options.postShare ?? 0.3) ? 'POST' : 'GET';
      const { tally } = this;
      this.request({ method }, (outcome) => this.#count(tally, method, outcome));
      this.#arrive();
    });
  }

  #isolate(): Isolate {
    const index = this.random.below(this.#isolates.length);
    const known = this.#isolates[index];
    if (known) return known;
    const { clock, random, service, gateway, agent } = this;
    const isolate = new Isolate({
      clock,
      random,
      service,
      gateway,
      path: this.#options.path ?? 'gateway',
      clientTimeoutMs: CLIENT_TIMEOUT_MS,
      published: agent.published,
      snapshotAgeMs: this.#options.snapshotAgeMs ?? 0,
      onReport: (report) => agent.onReport(report),
    });
    this.#isolates[index] = isolate;
    return isolate;
  }

  #count(tally: Tally, method: 'GET' | 'POST', outcome: RequestOutcome): void {
    const { ok, stuck, ms, hedges, attempts, instance } = outcome;
    const isSlow = ms > SLOW_MS;
    tally.hedges += hedges;
    tally.attempts += attempts;
    tally.times.push(ms);
    if (instance !== null) tally.byInstance.set(instance, (tally.byInstance.get(instance) ?? 0) + 1);
    if (method === 'GET') {
      tally.gets++;
      tally.getsFailed += Number(!ok);
      tally.getsSlow += Number(isSlow);
    } else {
      tally.posts++;
      tally.postsFailed += Number(!ok && !stuck);
      tally.postsStuck += Number(stuck || ms > STUCK_MS);
    }
    if (!ok || isSlow) tally.lastHurtAt = this.clock.now;
  }
}

/** A POST that takes this long has waited for a hung instance. */
const STUCK_MS = 5_000;

const BALANCE: Record<string, Balance> = {
  least_response_time: 'random',
  least_connections: 'leastconn',
  round_robin: 'roundrobin',
  weighted_round_robin: 'roundrobin',
};

function serviceConfig({ strategy, maxconn, hedge, outlier, timeout }: SimulationOptions): ServiceConfig {
  const config = parseConfig(`
version: 1
site: { id: main }
services:
  gs:
    routes: [/]
    strategy: ${strategy ?? 'least_response_time'}
    timeout: ${timeout ?? 30}s
    maxconn: ${maxconn ?? 200}
    failover: { hedge: ${hedge ?? true} }
    ${outlier === 'off' ? 'outlier: off' : ''}
`);
  const { gs } = config.services;
  if (!gs) throw new Error('no service');
  return gs;
}

export function quantile(times: readonly number[], q: number): number {
  const sorted = Float64Array.from(times).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
