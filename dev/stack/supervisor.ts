import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../shared/error-message.ts';
import type { Child, RunningServer } from '../servers/child.ts';
import type { ProcessRecord } from './process-record.ts';

export interface StackService {
  name: string;
  /** Starts the service and resolves when it is ready. Calls `onSpawn` as soon as the process exists. */
  start(onSpawn: (child: Child) => void): Promise<RunningServer>;
  /** Printed when the service ends; such a service is not restarted. */
  exitHint?: string;
}

const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
/** The backoff resets after this uptime. */
const STABLE_MS = 30_000;

/** Starts services, restarts those that end, and stops all of them. It signals only processes that it started. */
export class Supervisor {
  readonly #printLine: (line: string) => void;
  readonly #record: ProcessRecord;
  readonly #onChange: () => void;
  readonly #running = new Map<string, RunningServer>();
  readonly #children = new Set<Child>();
  #stopping = false;

  constructor(printLine: (line: string) => void, record: ProcessRecord, onChange: () => void) {
    this.#printLine = printLine;
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

  /** Resolves when the service is ready, and supervises it from then on. */
  async start(service: StackService): Promise<void> {
    await this.#launch(service);
    void this.#supervise(service);
  }

  async #launch(service: StackService): Promise<void> {
    if (this.#stopping) throw new Error('stopping');
    const running = await service.start((child) => {
      this.#children.add(child);
      this.#record.addProcess(service.name, child.pid);
      if (this.#stopping) child.signal('SIGKILL');
    });
    this.#running.set(service.name, running);
  }

  async #supervise(service: StackService): Promise<void> {
    let waitMs = MIN_BACKOFF_MS;
    for (;;) {
      const startedAt = Date.now();
      const running = this.#running.get(service.name);
      const reason = (await running?.child.ended) ?? '';
      if (this.#stopping) return;
      await running?.stop();
      this.#onChange();
      if (service.exitHint) {
        this.#printLine(`${reason}. ${service.exitHint}`);
        return;
      }
      if (Date.now() - startedAt > STABLE_MS) waitMs = MIN_BACKOFF_MS;
      waitMs = await this.#restart(service, reason, waitMs);
      if (this.#stopping) return;
    }
  }

  /** Retries until the service runs again. Returns the next backoff. */
  async #restart(service: StackService, firstReason: string, firstBackoffMs: number): Promise<number> {
    let reason = firstReason;
    let waitMs = firstBackoffMs;
    for (;;) {
      this.#printLine(`${reason}; restarting in ${waitMs / 1000} s`);
      await sleep(waitMs);
      waitMs = Math.min(waitMs * 2, MAX_BACKOFF_MS);
      if (this.#stopping) return waitMs;
      try {
        await this.#launch(service);
        this.#printLine(`${service.name} runs again`);
        this.#onChange();
        return waitMs;
      } catch (error) {
        if (this.#stopping) return waitMs;
        reason = errorMessage(error);
      }
    }
  }

  /** Stops the groups one after another, and the services of a group in parallel. */
  async stop(groups: readonly (readonly string[])[]): Promise<void> {
    this.#stopping = true;
    for (const group of groups) {
      const names = [...this.#running.keys()].filter((name) => group.includes(name));
      await Promise.all(names.map((name) => this.#running.get(name)?.stop()));
    }
    await Promise.all([...this.#running.values()].map((running) => running.stop()));
    // Services that were not ready yet.
    await Promise.all([...this.#children].map((child) => child.stop(2_000)));
  }

  /** Kills everything at once, after a second Ctrl-C. */
  kill(): void {
    this.#stopping = true;
    for (const child of this.#children) child.signal('SIGKILL');
  }
}
