import type { Config } from '../../../shared/config/config.ts';
import { type AdminState, instanceKey, type TrafficDelta } from '../../core/state.ts';
import type { RenderInstance } from '../render/input.ts';
import { parseInfo, parseServersState, parseStat } from '../socket/parse.ts';
import { createRuntimeClient, HaproxyUnreachable, type RuntimeClient } from '../socket/runtime-client.ts';
import { type CounterBaseline, computeCounterDeltas } from '../telemetry/counter-deltas.ts';
import { type AdminCommandLog, createAdminCommandLog } from './admin-commands.ts';
import { createCommandBackoff } from './command-backoff.ts';
import type { DesiredServers } from './desired.ts';
import {
  type ActualServer,
  actualServers,
  adminStatesInPlace,
  diffServers,
  reloadOnlySettings,
  type ServerAction,
} from './diff.ts';
import { addServer, removeServer } from './membership.ts';
import { releaseVerdicts } from './release.ts';

export interface ReconcilerOptions {
  name: string;
  /** Admin socket: a path or host:port. */
  socket: string;
  /** An agent of its own stands beside that HAProxy: it has the last word there. */
  shared: boolean;
  config: () => Config;
  desired: () => DesiredServers;
  /** Told of every `desired` there was. */
  orders?: AdminCommandLog;
  onTraffic(deltas: TrafficDelta[]): void;
  onRefused(service: string, instance: string): void;
  now(): number;
  /** The servers of the files that a new worker was started with; absent where the files are not ours to know. */
  startedWith?: () => readonly RenderInstance[];
}

/** What one look at a HAProxy showed, after it was put right. */
export interface PollResult {
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
export interface Reconciler {
  readonly name: string;
  poll(): Promise<PollResult>;
  /** A reload has put a new worker in place: the next look goes to it. */
  reconnect(): void;
  /** Hands every verdict back to HAProxy's own checks. */
  release(): Promise<void>;
  close(): void;
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const client = createRuntimeClient({ socket: options.socket });
  const ours = new Map<string, AdminState>();
  /** Of each server of the worker that was looked at last, what only a reload changes. */
  const fixed = new Map<string, string>();
  const patience = createCommandBackoff();
  const { orders = createAdminCommandLog() } = options;
  /** When the last look began. */
  let looked = orders.position();
  let memory: CounterBaseline | null = null;

  async function look(): Promise<PollResult> {
    const began = orders.position();
    const info = await newestWorker(client);
    const [statText, states] = await Promise.all([
      client.execute('show stat -1 4 -1'),
      client.execute('show servers state'),
    ]);
    const services = new Set(Object.keys(options.config().services));
    const stats = parseStat(statText).filter((stat) => services.has(stat.service));
    if (memory?.pid !== info.pid) beginAnew();
    const news = computeCounterDeltas(memory, info.pid, stats, options.now());
    memory = news.memory;
    if (news.deltas.length > 0) options.onTraffic(news.deltas);
    for (const { service, instance } of news.refused) options.onRefused(service, instance);

    const actual = actualServers(stats, parseServersState(states), services);
    for (const [key, admin] of adminStatesInPlace(options.desired(), actual)) ours.set(key, admin);
    for (const [key, { admin }] of actual) {
      if (orders.requestedSince(looked, key, admin)) ours.set(key, admin);
      // Nothing of ours is there any more, whoever undid it: the next order may be a person's.
      if (admin === 'ready' && options.desired().get(key)?.admin === 'ready') ours.delete(key);
    }
    looked = began;
    const steps = diffServers(options.desired(), actual, ours).filter(
      (step) => !options.shared || patience.allow(stepWords(step)),
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
    patience.reset();
    fixed.clear();
    for (const server of options.startedWith?.() ?? []) {
      fixed.set(instanceKey(server.service, server.id), reloadOnlySettings(server));
    }
  }

  /** Servers that were taken back and registered as something else before HAProxy could delete them. */
  function otherKinds(actual: ReadonlyMap<string, ActualServer>): string[] {
    for (const key of fixed.keys()) if (!actual.has(key)) fixed.delete(key);
    const changed: string[] = [];
    for (const [key, want] of options.desired()) {
      if (!actual.has(key)) continue;
      const now = reloadOnlySettings(want);
      const before = fixed.get(key) ?? now;
      fixed.set(key, before);
      if (before !== now) changed.push(`${key} ${now}`);
    }
    return changed;
  }

  async function take(step: ServerAction): Promise<ActionResult> {
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
    const answers = await Promise.all(step.commands.map((command) => client.execute(command)));
    // `addr` answers with what it changed; every other command says something only when it refuses.
    const said = answers.filter(
      (answer, index) => answer !== '' && !step.commands[index]?.includes(' addr '),
    );
    return { said: said.map((answer) => `${step.service}/${step.instance}: ${answer}`), needsReload: false };
  }

  return {
    name: options.name,
    poll: look,
    reconnect: () => client.disconnect(),
    async release() {
      await releaseVerdicts(client, new Set(Object.keys(options.config().services)));
    },
    close: () => client.close(),
  };
}

function stepWords(step: ServerAction): string {
  if (step.do === 'add') return `add ${step.desired.service}/${step.desired.instance}`;
  return `${step.do} ${step.service}/${step.instance} ${step.do === 'set' ? step.commands.join() : ''}`;
}

interface ActionResult {
  said: string[];
  needsReload: boolean;
}

/** A worker that a reload has replaced goes on answering those who are connected to it: leave it. */
async function newestWorker(client: RuntimeClient): Promise<ReturnType<typeof parseInfo>> {
  const first = parseInfo(await client.execute('show info'));
  if (!first.stopping) return first;
  client.disconnect();
  const second = parseInfo(await client.execute('show info'));
  if (second.stopping) throw new HaproxyUnreachable('HAProxy is stopping');
  return second;
}

const ordersOf = (actual: ReadonlyMap<string, ActualServer>): string =>
  [...actual].map(([key, { admin, weight, address }]) => `${key} ${admin} ${weight} ${address}`).join('\n');
