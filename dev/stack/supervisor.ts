import { setTimeout as sleep } from 'node:timers/promises';
import type { Child, RunningServer } from '../servers/child.ts';
import type { ProcessRecord } from './process-record.ts';

export interface StackService {
  name: string;
  /** Starts it and resolves when it is ready; `onSpawn` is told of its process at once. */
  start(onSpawn: (child: Child) => void): Promise<RunningServer>;
  /** What to say instead of starting it again. A part without this is restarted. */
  exitHint?: string;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** A part that ran this long is healthy again: the next wait is the first one. */
const SETTLED_MS = 30_000;

/** Starts parts, restarts those that end, and ends all of them: the only processes it ever signals. */
export class Supervisor {
  readonly #say: (line: string) => void;
  readonly #record: ProcessRecord;
  readonly #onChange: () => void;
  readonly #running = new Map<string, RunningServer>();
  readonly #children = new Set<Child>();
  #stopping = false;

  constructor(say: (line: string) => void, record: ProcessRecord, onChange: () => void) {
    this.#say = say;
    this.#record = record;
    this.#onChange = onChange;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  pid(name: string): number | null {
    const child = this.#running.get(name)?.child;
    return child?.running ? child.pid : null;
  }

  /** Resolves when the part is ready, and looks after it from then on. */
  async start(part: StackService): Promise<void> {
    await this.#launch(part);
    void this.#lookAfter(part);
  }

  async #launch(part: StackService): Promise<void> {
    if (this.#stopping) throw new Error('stopping');
    const running = await part.start((child) => {
      this.#children.add(child);
      this.#record.addProcess(part.name, child.pid);
      if (this.#stopping) child.signal('SIGKILL');
    });
    this.#running.set(part.name, running);
  }

  async #lookAfter(part: StackService): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    for (;;) {
      const begun = Date.now();
      const running = this.#running.get(part.name);
      const why = (await running?.child.ended) ?? '';
      if (this.#stopping) return;
      await running?.stop();
      this.#onChange();
      if (part.exitHint) {
        this.#say(`${why}. ${part.exitHint}`);
        return;
      }
      if (Date.now() - begun > SETTLED_MS) waitMs = FIRST_WAIT_MS;
      waitMs = await this.#bringBack(part, why, waitMs);
      if (this.#stopping) return;
    }
  }

  /** Tries until the part runs again. Returns how long the next wait would be. */
  async #bringBack(part: StackService, why: string, firstWaitMs: number): Promise<number> {
    let reason = why;
    let waitMs = firstWaitMs;
    for (;;) {
      this.#say(`${reason}; starting it again in ${waitMs / 1000} s`);
      await sleep(waitMs);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      if (this.#stopping) return waitMs;
      try {
        await this.#launch(part);
        this.#say(`${part.name} runs again`);
        this.#onChange();
        return waitMs;
      } catch (error) {
        if (this.#stopping) return waitMs;
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  /** Ends the parts group by group, those of a group together. */
  async stop(groups: readonly (readonly string[])[]): Promise<void> {
    this.#stopping = true;
    for (const group of groups) {
      const names = [...this.#running.keys()].filter((name) => group.includes(name));
      await Promise.all(names.map((name) => this.#running.get(name)?.stop()));
    }
    await Promise.all([...this.#running.values()].map((running) => running.stop()));
    // Those that were not ready yet.
    await Promise.all([...this.#children].map((child) => child.stop(2_000)));
  }

  /** Without asking: a second Ctrl-C. */
  kill(): void {
    this.#stopping = true;
    for (const child of this.#children) child.signal('SIGKILL');
  }
}
