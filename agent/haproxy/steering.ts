import type { Config } from '../../shared/config/config.ts';
import { type AdminState, instanceKey, type TrafficDelta } from '../state.ts';
import { type CounterMemory, countTraffic } from './counters.ts';
import type { DesiredMap } from './desired.ts';
import type { RenderInstance } from './input.ts';
import { addServer, removeServer } from './membership.ts';
import { createOrders, type Orders } from './orders.ts';
import { parseInfo, parseServersState, parseStat } from './parse.ts';
import { createPatience } from './patience.ts';
import { type Actual, actualServers, fixedPart, heldOrders, planSteps, type Step } from './plan.ts';
import { releaseVerdicts } from './release.ts';
import { createRuntimeClient, HaproxyAway, type RuntimeClient } from './runtime.ts';

export interface SteeringOptions {
  name: string;
  /** Admin socket: a path or host:port. */
  socket: string;
  /** An agent of its own stands beside that HAProxy: it has the last word there. */
  shared: boolean;
  config: () => Config;
  desired: () => DesiredMap;
  /** Told of every `desired` there was. */
  orders?: Orders;
  onTraffic(deltas: TrafficDelta[]): void;
  onRefused(service: string, instance: string): void;
  now(): number;
  /** The servers of the files that a new worker was started with; absent where the files are not ours to know. */
  startedWith?: () => readonly RenderInstance[];
}

/** What one look at a HAProxy showed, after it was put right. */
export interface Look {
  pid: number;
  description: string;
  /** `show servers state` as it was answered, for the state file. */
  states: string;
  /** Operator's orders and weights alone: the state file is worth writing anew when this changes. */
  orders: string;
  /** Steps HAProxy did not take, in its words. */
  refused: string[];
  /** A server could not be added or changed at run time: only a reload brings it in. */
  needsReload: boolean;
  /** Those that were registered anew as another kind of server, and as which. */
  changed: string[];
}

/** Steers one HAProxy: looks at all of it, reports what traffic did, and takes the steps to what is desired. */
export interface Steering {
  readonly name: string;
  look(): Promise<Look>;
  /** A reload has put a new worker in place: the next look goes to it. */
  renew(): void;
  /** Hands every verdict back to HAProxy's own checks. */
  release(): Promise<void>;
  close(): void;
}

export function createSteering(options: SteeringOptions): Steering {
  const client = createRuntimeClient({ socket: options.socket });
  const ours = new Map<string, AdminState>();
  /** Of each server of the worker that was looked at last, what only a reload changes. */
  const fixed = new Map<string, string>();
  const patience = createPatience();
  const { orders = createOrders() } = options;
  /** When the last look began. */
  let looked = orders.mark();
  let memory: CounterMemory | null = null;

  async function look(): Promise<Look> {
    const began = orders.mark();
    const info = await newestWorker(client);
    const [statText, states] = await Promise.all([
      client.ask('show stat -1 4 -1'),
      client.ask('show servers state'),
    ]);
    const services = new Set(Object.keys(options.config().services));
    const stats = parseStat(statText).filter((stat) => services.has(stat.service));
    if (memory?.pid !== info.pid) beginAnew();
    const news = countTraffic(memory, info.pid, stats, options.now());
    memory = news.memory;
    if (news.deltas.length > 0) options.onTraffic(news.deltas);
    for (const { service, instance } of news.refused) options.onRefused(service, instance);

    const actual = actualServers(stats, parseServersState(states), services);
    for (const [key, admin] of heldOrders(options.desired(), actual)) ours.set(key, admin);
    for (const [key, { admin }] of actual) {
      if (orders.askedSince(looked, key, admin)) ours.set(key, admin);
      // Nothing of ours is there any more, whoever undid it: the next order may be a person's.
      if (admin === 'ready' && options.desired().get(key)?.admin === 'ready') ours.delete(key);
    }
    looked = began;
    const steps = planSteps(options.desired(), actual, ours).filter(
      (step) => !options.shared || patience.allows(stepWords(step)),
    );
    const outcomes = await Promise.all(steps.map((step) => take(step)));
    const changed = otherKinds(actual);
    const refused = outcomes.flatMap((outcome) => outcome.said);
    return {
      pid: info.pid,
      description: info.description,
      states,
      orders: ordersOf(actual),
      refused,
      needsReload: changed.length > 0 || outcomes.some((outcome) => outcome.needsReload),
      changed,
    };
  }

  /** Another worker has each server as its files do, also where something else is desired by now. */
  function beginAnew(): void {
    patience.forget();
    fixed.clear();
    for (const server of options.startedWith?.() ?? []) {
      fixed.set(instanceKey(server.service, server.id), fixedPart(server));
    }
  }

  /** Servers that were taken back and registered as something else before HAProxy could delete them. */
  function otherKinds(actual: ReadonlyMap<string, Actual>): string[] {
    for (const key of fixed.keys()) if (!actual.has(key)) fixed.delete(key);
    const changed: string[] = [];
    for (const [key, want] of options.desired()) {
      if (!actual.has(key)) continue;
      const now = fixedPart(want);
      const before = fixed.get(key) ?? now;
      fixed.set(key, before);
      if (before !== now) changed.push(`${key} ${now}`);
    }
    return changed;
  }

  async function take(step: Step): Promise<Outcome> {
    if (step.do === 'remove') {
      const key = `${step.service}/${step.instance}`;
      // Should it be registered again before it is gone, the maint it is put in was an order of ours.
      ours.set(key, 'maint');
      const { gone, said } = await removeServer(client, step);
      if (gone) ours.delete(key);
      return { said, needsReload: false };
    }
    if (step.do === 'add') {
      const said = await addServer(client, options.config(), step.desired, options.desired().size);
      return { said, needsReload: said.length > 0 };
    }
    // Ours from now on: HAProxy may take it, and its word on that be lost.
    if (step.admin && step.admin !== 'ready') ours.set(`${step.service}/${step.instance}`, step.admin);
    const answers = await Promise.all(step.commands.map((command) => client.ask(command)));
    // `addr` answers with what it changed; every other command says something only when it refuses.
    const said = answers.filter(
      (answer, index) => answer !== '' && !step.commands[index]?.includes(' addr '),
    );
    return { said: said.map((answer) => `${step.service}/${step.instance}: ${answer}`), needsReload: false };
  }

  return {
    name: options.name,
    look,
    renew: () => client.drop(),
    async release() {
      await releaseVerdicts(client, new Set(Object.keys(options.config().services)));
    },
    close: () => client.close(),
  };
}

function stepWords(step: Step): string {
  if (step.do === 'add') return `add ${step.desired.service}/${step.desired.instance}`;
  return `${step.do} ${step.service}/${step.instance} ${step.do === 'set' ? step.commands.join() : ''}`;
}

interface Outcome {
  said: string[];
  needsReload: boolean;
}

/** A worker that a reload has replaced goes on answering those who are connected to it: leave it. */
async function newestWorker(client: RuntimeClient): Promise<ReturnType<typeof parseInfo>> {
  const first = parseInfo(await client.ask('show info'));
  if (!first.stopping) return first;
  client.drop();
  const second = parseInfo(await client.ask('show info'));
  if (second.stopping) throw new HaproxyAway('HAProxy is stopping');
  return second;
}

const ordersOf = (actual: ReadonlyMap<string, Actual>): string =>
  [...actual].map(([key, { admin, weight, address }]) => `${key} ${admin} ${weight} ${address}`).join('\n');
