import { cancel, type Random, type Timer, type VirtualClock } from './clock.ts';

export type ReplyKind = 'ok' | 'error' | 'reset' | 'refused';

export interface InstanceOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  /** Mean service time and the deviation of its logarithm. */
  readonly meanMs: number;
  readonly sigma: number;
  /** Requests that are served at once; the others wait. */
  readonly slots: number;
}

/** What is wrong with an instance. Everything may change while it runs. */
export interface Faults {
  /** Time that each answer takes longer. */
  extraMs: number;
  /** Multiplies the service time. */
  factor: number;
  stallShare: number;
  stallMs: number;
  resetShare: number;
  errorShare: number;
  /** Whether its health endpoint is as slow as its other answers. */
  slowProbes: boolean;
}

const HEALTHY: Faults = {
  extraMs: 0,
  factor: 1,
  stallShare: 0,
  stallMs: 0,
  resetShare: 0,
  errorShare: 0,
  slowProbes: false,
};

interface Job {
  remainingMs: number;
  startedAt: number;
  /** Waits elsewhere, so that it takes no slot: a long poll, or a delay before the answer. */
  readonly takesSlot: boolean;
  readonly kind: ReplyKind;
  readonly done: (kind: ReplyKind) => void;
  timer: Timer | undefined;
  ended: boolean;
}

const PROBE_MS = 1.5;

/** A web server with a fixed number of slots and a queue, which can hang, die and misbehave. */
export class SimulatedInstance {
  readonly faults: Faults = { ...HEALTHY };
  readonly id: string;
  readonly #options: InstanceOptions;
  readonly #running = new Set<Job>();
  #queue: Job[] = [];
  #slotsUsed = 0;
  #hung = false;
  #alive = true;

  constructor(id: string, options: InstanceOptions) {
    this.id = id;
    this.#options = options;
  }

  /** Requests that it has not answered: what a true shortest queue goes by. */
  get load(): number {
    return this.#running.size + this.#queue.length;
  }

  heal(): void {
    Object.assign(this.faults, HEALTHY);
  }

  /** Returns a function that forgets the request, because the caller has closed its connection. */
  serve(holdMs: number, done: (kind: ReplyKind) => void): () => void {
    if (!this.#alive) {
      this.#options.clock.after(0.2, () => done('refused'));
      return () => undefined;
    }
    const job = this.#newJob(holdMs, done);
    if (this.#hung || (job.takesSlot && this.#slotsUsed >= this.#options.slots)) this.#queue.push(job);
    else this.#start(job);
    return () => this.#abandon(job);
  }

  /** A health probe: answered at once, unless the instance hangs or its probes are as slow as its answers. */
  probe(done: (kind: ReplyKind) => void): () => void {
    if (!this.#alive) return this.serve(0, done);
    const { extraMs, slowProbes } = this.faults;
    const { random } = this.#options;
    const job: Job = {
      remainingMs: random.logNormal(PROBE_MS, 0.3) + (slowProbes ? extraMs : 0),
      startedAt: 0,
      takesSlot: false,
      kind: 'ok',
      done,
      timer: undefined,
      ended: false,
    };
    if (this.#hung) this.#queue.push(job);
    else this.#start(job);
    return () => this.#abandon(job);
  }

  hang(): void {
    if (this.#hung) return;
    this.#hung = true;
    const { now } = this.#options.clock;
    for (const job of this.#running) {
      cancel(job.timer);
      job.remainingMs -= now - job.startedAt;
    }
  }

  resume(): void {
    if (!this.#hung) return;
    this.#hung = false;
    for (const job of this.#running) this.#schedule(job);
    this.#startQueued();
  }

  kill(): void {
    this.#alive = false;
    const broken = [...this.#running, ...this.#queue];
    this.#running.clear();
    this.#queue = [];
    this.#slotsUsed = 0;
    this.#hung = false;
    for (const job of broken) {
      cancel(job.timer);
      job.ended = true;
      job.done('reset');
    }
  }

  restart(): void {
    this.#alive = true;
  }

  #newJob(holdMs: number, done: (kind: ReplyKind) => void): Job {
    const { random, meanMs, sigma } = this.#options;
    const { extraMs, factor, stallShare, stallMs, resetShare, errorShare } = this.faults;
    const roll = random.next();
    const stalls = random.next() < stallShare;
    const kind = roll < resetShare ? 'reset' : roll < resetShare + errorShare ? 'error' : 'ok';
    const waitMs = holdMs + extraMs + (stalls ? stallMs : 0);
    return {
      remainingMs: kind === 'reset' ? 1 : random.logNormal(meanMs, sigma) * factor + waitMs,
      startedAt: 0,
      takesSlot: waitMs === 0,
      kind,
      done,
      timer: undefined,
      ended: false,
    };
  }

  #start(job: Job): void {
    this.#running.add(job);
    if (job.takesSlot) this.#slotsUsed++;
    this.#schedule(job);
  }

  #schedule(job: Job): void {
    const { clock } = this.#options;
    job.startedAt = clock.now;
    job.timer = clock.after(job.remainingMs, () => {
      this.#end(job);
      job.done(job.kind);
    });
  }

  #end(job: Job): void {
    job.ended = true;
    this.#running.delete(job);
    if (job.takesSlot) this.#slotsUsed--;
    this.#startQueued();
  }

  /** A hung process does not notice that the connection is closed; its slot stays taken. */
  #abandon(job: Job): void {
    if (job.ended) return;
    const waiting = this.#queue.indexOf(job);
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1);
      job.ended = true;
    } else if (!this.#hung) {
      cancel(job.timer);
      this.#end(job);
    }
  }

  #startQueued(): void {
    if (this.#hung) return;
    for (let index = 0; index < this.#queue.length; ) {
      const job = this.#queue[index];
      if (!job) return;
      if (job.takesSlot && this.#slotsUsed >= this.#options.slots) {
        index++;
        if (this.#queue.length > 64) return;
        continue;
      }
      this.#queue.splice(index, 1);
      this.#start(job);
    }
  }
}
