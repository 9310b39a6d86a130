import type { ServerStat } from '../../agent/haproxy/socket/parse.ts';
import { addToSketch, emptySketch, type Sketch } from '../../shared/sketch.ts';
import { cancel, type Random, type Timer, type VirtualClock } from './clock.ts';
import type { ReplyKind, SimulatedInstance } from './instance.ts';

/** HAProxy: how it picks a server, what it repeats, its limits and its counters. */

export type Balance = 'random' | 'leastconn' | 'roundrobin' | 'shortest';

export interface GatewayRequest {
  readonly method: 'GET' | 'POST';
  /** The service holds the answer this long by itself: a long poll, a WebSocket. */
  readonly holdMs: number;
  /** Null: HAProxy picks. */
  readonly target: string | null;
}

/** 'ok' and 'error' are answers of the instance; 'unsent' is HAProxy's own 503 for a request that reached none. */
export interface GatewayAnswer {
  readonly kind: 'ok' | 'error' | 'bad-gateway' | 'timeout' | 'unsent';
  readonly instance: string | null;
}

/** HAProxy's counters of one server. */
export type Counters = Pick<
  ServerStat,
  'attempts' | 'connectFailures' | 'redispatches' | 'clientAborts' | 'serverAborts'
> & { ok: number; failed: number };

/** What the lines of the request log say about one server since they were last read. */
export interface LogSample {
  abandoned: number;
  latency: Sketch;
}

export interface Server {
  readonly instance: SimulatedInstance;
  /** Effective weight, 0–256. */
  weight: number;
  isUp: boolean;
  readonly maxconn: number;
  served: number;
  readonly queue: Exchange[];
  counters: Counters;
  log: LogSample;
  /** For the smooth round robin and for the rotation of equals. */
  current: number;
  usedAt: number;
}

interface Exchange {
  readonly request: GatewayRequest;
  readonly answer: (answer: GatewayAnswer) => void;
  retriesLeft: number;
  server: Server | null;
  sentAt: number;
  forget: (() => void) | null;
  timer: Timer | undefined;
  ended: boolean;
}

export interface GatewayOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly balance: Balance;
  readonly maxconn: number;
  readonly timeoutMs: number;
  /** HAProxy could not connect. */
  readonly onConnectFailure: (instance: string) => void;
}

const RETRIES = 2;
const DRAWS = 6;
const QUEUE_TIMEOUT_MS = 5_000;
/** Long before the edge hedges: such a client did not leave because of the wait. */
const MIN_ABANDONED_MS = 45;
const HELD_MS = 1_000;

export const zeroCounters = (): Counters => ({
  attempts: 0,
  ok: 0,
  failed: 0,
  connectFailures: 0,
  redispatches: 0,
  clientAborts: 0,
  serverAborts: 0,
});

export const emptyLog = (): LogSample => ({ abandoned: 0, latency: emptySketch() });

export class Gateway {
  readonly servers: readonly Server[];
  readonly byId: ReadonlyMap<string, Server>;
  readonly #options: GatewayOptions;
  readonly #queue: Exchange[] = [];
  #uses = 0;

  constructor(instances: readonly SimulatedInstance[], options: GatewayOptions) {
    this.#options = options;
    this.servers = instances.map((instance) => ({
      instance,
      weight: 100,
      isUp: true,
      maxconn: options.maxconn,
      served: 0,
      queue: [],
      counters: zeroCounters(),
      log: emptyLog(),
      current: 0,
      usedAt: 0,
    }));
    this.byId = new Map(this.servers.map((server) => [server.instance.id, server]));
  }

  /** Returns a function that closes the client's connection. */
  send(request: GatewayRequest, answer: (answer: GatewayAnswer) => void): () => void {
    const exchange: Exchange = {
      request,
      answer,
      retriesLeft: RETRIES,
      server: null,
      sentAt: 0,
      forget: null,
      timer: undefined,
      ended: false,
    };
    this.#assign(exchange, null);
    return () => this.#close(exchange);
  }

  /** Past HAProxy: the edge has picked, and the agent learns nothing of it. */
  sendDirectly(id: string, holdMs: number, answer: (answer: GatewayAnswer) => void): () => void {
    const server = this.byId.get(id);
    if (!server) throw new Error(`no instance ${id}`);
    return server.instance.serve(holdMs, (kind) => {
      const isAnswer = kind === 'ok' || kind === 'error';
      answer({ kind: isAnswer ? kind : 'bad-gateway', instance: isAnswer ? id : null });
    });
  }

  /** `show stat`. */
  stats(service: string): ServerStat[] {
    return this.servers.map(({ instance, isUp, weight, maxconn, served, queue, counters }) => {
      const { ok, failed, ...rest } = counters;
      return {
        service,
        instance: instance.id,
        status: isUp ? 'UP' : 'DOWN',
        check: 'L7OK',
        agentUp: isUp,
        weight,
        queued: queue.length,
        inflight: served,
        limit: maxconn,
        responses: { ok, failed },
        statuses: { '2xx': ok, '3xx': 0, '4xx': 0, '5xx': failed },
        ...rest,
      };
    });
  }

  setState(id: string, isUp: boolean, weight: number): void {
    const server = this.byId.get(id);
    if (!server) return;
    server.weight = weight;
    const wasUp = server.isUp;
    server.isUp = isUp;
    if (wasUp && !isUp) for (const waiting of server.queue.splice(0)) this.#assign(waiting, server);
    if (!wasUp && isUp) this.#feed(server);
  }

  #assign(exchange: Exchange, avoid: Server | null): void {
    cancel(exchange.timer);
    const { target } = exchange.request;
    const named = target !== null && avoid === null ? this.byId.get(target) : undefined;
    if (named?.isUp && !isFull(named)) this.#connect(exchange, named);
    else if (named?.isUp && named.queue.length < Math.max(16, named.maxconn)) {
      this.#wait(exchange, named.queue);
    } else this.#balance(exchange, avoid);
  }

  #balance(exchange: Exchange, avoid: Server | null): void {
    const usable = this.servers.filter(({ isUp, weight }) => isUp && weight > 0);
    const server = usable.length > 0 ? this.#pick(usable, avoid) : null;
    if (server) this.#connect(exchange, server);
    else if (usable.length > 0) this.#wait(exchange, this.#queue);
    else this.#finish(exchange, 'unsent');
  }

  #wait(exchange: Exchange, queue: Exchange[]): void {
    queue.push(exchange);
    exchange.timer = this.#options.clock.after(QUEUE_TIMEOUT_MS, () => this.#giveUp(exchange, queue));
  }

  #pick(usable: readonly Server[], avoid: Server | null): Server | null {
    const others = avoid ? usable.filter((server) => server !== avoid) : usable;
    const members = others.length > 0 ? others : usable;
    switch (this.#options.balance) {
      case 'random':
        return this.#random(members);
      case 'leastconn':
        return leastLoaded(members, ({ served, weight }) => (served === 0 ? 0 : (served + 1) / weight));
      case 'shortest':
        return leastLoaded(members, ({ instance }) => instance.load);
      case 'roundrobin':
        return roundRobin(members);
    }
  }

  /** `balance random(6)`: a full winner sends the request to the queue of the backend. */
  #random(members: readonly Server[]): Server | null {
    const total = members.reduce((sum, { weight }) => sum + weight, 0);
    let best: Server | null = null;
    for (let draw = 0; draw < DRAWS; draw++) {
      const server = drawByWeight(members, this.#options.random.next() * total);
      if (!server) return null;
      if (!best || server.served * best.weight <= best.served * server.weight) best = server;
    }
    return best && isFull(best) ? null : best;
  }

  #connect(exchange: Exchange, server: Server): void {
    const { clock, timeoutMs } = this.#options;
    exchange.server = server;
    exchange.sentAt = clock.now;
    server.served++;
    server.counters.attempts++;
    server.usedAt = ++this.#uses;
    exchange.timer = clock.after(timeoutMs, () => this.#onTimeout(exchange, server));
    exchange.forget = server.instance.serve(exchange.request.holdMs, (kind) =>
      this.#onReply(exchange, server, kind),
    );
  }

  #release(exchange: Exchange, server: Server): void {
    cancel(exchange.timer);
    exchange.server = null;
    exchange.forget = null;
    server.served--;
    this.#feed(server);
  }

  #feed(server: Server): void {
    while (server.isUp && !isFull(server)) {
      const next = server.queue.shift() ?? this.#queue.shift();
      if (!next) return;
      cancel(next.timer);
      this.#connect(next, server);
    }
  }

  #onReply(exchange: Exchange, server: Server, kind: ReplyKind): void {
    if (exchange.ended || exchange.server !== server) return;
    const ms = this.#options.clock.now - exchange.sentAt;
    this.#release(exchange, server);
    if (kind === 'ok' || kind === 'error') {
      server.counters[kind === 'ok' ? 'ok' : 'failed']++;
      // The class of a long poll is known from its earlier answers.
      if (exchange.request.holdMs < HELD_MS) addToSketch(server.log.latency, ms);
      this.#finish(exchange, kind, server);
    } else this.#onNoAnswer(exchange, server, kind === 'refused');
  }

  #onNoAnswer(exchange: Exchange, server: Server, refused: boolean): void {
    if (refused) {
      server.counters.connectFailures++;
      this.#options.onConnectFailure(server.instance.id);
    }
    const isPost = exchange.request.method === 'POST';
    const mayRepeat = refused || !isPost;
    if (mayRepeat && exchange.retriesLeft-- > 0) this.#assign(exchange, server);
    else this.#finish(exchange, refused && isPost ? 'unsent' : 'bad-gateway');
  }

  #onTimeout(exchange: Exchange, server: Server): void {
    exchange.forget?.();
    addToSketch(server.log.latency, this.#options.timeoutMs);
    this.#release(exchange, server);
    this.#finish(exchange, 'timeout', server);
  }

  #giveUp(exchange: Exchange, queue: Exchange[]): void {
    const at = queue.indexOf(exchange);
    if (at >= 0) queue.splice(at, 1);
    this.#finish(exchange, 'unsent');
  }

  #finish(exchange: Exchange, kind: GatewayAnswer['kind'], server: Server | null = null): void {
    exchange.ended = true;
    exchange.answer({ kind, instance: server?.instance.id ?? null });
  }

  /** The client has gone. */
  #close(exchange: Exchange): void {
    if (exchange.ended) return;
    exchange.ended = true;
    cancel(exchange.timer);
    const { server } = exchange;
    if (!server) {
      for (const queue of [this.#queue, ...this.servers.map((one) => one.queue)]) {
        const at = queue.indexOf(exchange);
        if (at >= 0) queue.splice(at, 1);
      }
      return;
    }
    const isLate = this.#options.clock.now - exchange.sentAt >= MIN_ABANDONED_MS;
    if (isLate && exchange.request.holdMs < HELD_MS) server.log.abandoned++;
    server.counters.clientAborts++;
    exchange.forget?.();
    this.#release(exchange, server);
  }
}

function drawByWeight(members: readonly Server[], roll: number): Server | undefined {
  let left = roll;
  return members.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
}

const isFull = ({ served, maxconn }: Server): boolean => served >= maxconn;

/** The least loaded one that is not full; of equals the one that was not used for the longest time. */
function leastLoaded(members: readonly Server[], loadOf: (server: Server) => number): Server | null {
  let best: Server | null = null;
  let bestLoad = 0;
  for (const server of members) {
    if (isFull(server)) continue;
    const load = loadOf(server);
    if (best && (load > bestLoad || (load === bestLoad && server.usedAt > best.usedAt))) continue;
    best = server;
    bestLoad = load;
  }
  return best;
}

/** Smooth weighted round robin over the servers that are not full. */
function roundRobin(members: readonly Server[]): Server | null {
  let best: Server | null = null;
  let total = 0;
  for (const server of members) {
    if (isFull(server)) continue;
    server.current += server.weight;
    total += server.weight;
    if (!best || server.current > best.current) best = server;
  }
  if (best) best.current -= total;
  return best;
}
