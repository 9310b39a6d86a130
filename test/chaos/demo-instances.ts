import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';

/** Kills and starts the stack's demo instances. `stop()` ends those that it started. */
export class DemoInstances {
  readonly #test: TestStack;
  readonly #pids: Map<string, number>;
  readonly #started: ChildProcess[] = [];

  constructor(test: TestStack) {
    this.#test = test;
    this.#pids = new Map(test.stack.instances.flatMap(({ id, pid }) => (pid ? [[id, pid]] : [])));
  }

  /** Resolves when the process has ended. */
  async kill(id: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const pid = this.#pids.get(id);
    if (!pid) throw new Error(`${id} does not run`);
    process.kill(pid, signal);
    while (isRunning(pid)) await sleep(10);
  }

  /** Starts an instance on its port. Resolves true when the agent reports it as not down, false after 60 s. */
  async start(id: string): Promise<boolean> {
    const instance = this.#test.stack.instances.find((one) => one.id === id);
    if (!instance) throw new Error(`no instance ${id}`);
    const { service } = instance;
    const args = ['dev/instance.ts', service, id, new URL(instance.url).port];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'ignore' });
    this.#started.push(child);
    this.#pids.set(id, child.pid ?? 0);
    // By then the agent has noticed the end, so a later state belongs to the new process.
    await sleep(1_000);
    const recovered = await until(
      async () => {
        const url = `${this.#test.stack.agent}/v1/services/${service}/instances/${id}`;
        return ((await (await fetch(url)).json()) as { state: string }).state !== 'down';
      },
      { withinMs: 60_000 },
    );
    return recovered !== null;
  }

  stop(): void {
    for (const child of this.#started) child.kill('SIGTERM');
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
