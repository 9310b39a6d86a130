import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';

/** Ends and starts the stack's demo instances; those started here end with `stop()`. */
export class DemoInstances {
  readonly #test: TestStack;
  readonly #pids: Map<string, number>;
  readonly #started: ChildProcess[] = [];

  constructor(test: TestStack) {
    this.#test = test;
    this.#pids = new Map(test.stack.instances.flatMap(({ id, pid }) => (pid ? [[id, pid]] : [])));
  }

  /** Resolves when the process is gone. */
  async kill(id: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const pid = this.#pids.get(id);
    if (!pid) throw new Error(`${id} does not run`);
    process.kill(pid, signal);
    while (isRunning(pid)) await sleep(10);
  }

  /** Starts it on its own port and resolves when the agent no longer has it down (false: not within 60 s). */
  async start(id: string): Promise<boolean> {
    const instance = this.#test.stack.instances.find((one) => one.id === id);
    if (!instance) throw new Error(`no instance ${id}`);
    const { service } = instance;
    const args = ['dev/instance.ts', service, id, new URL(instance.url).port];
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'ignore' });
    this.#started.push(child);
    this.#pids.set(id, child.pid ?? 0);
    // The agent has noticed the end by then; what it says after that is of the new process.
    await sleep(1_000);
    const well = await until(
      async () => {
        const url = `${this.#test.stack.agent}/v1/services/${service}/instances/${id}`;
        return ((await (await fetch(url)).json()) as { state: string }).state !== 'down';
      },
      { withinMs: 60_000 },
    );
    return well !== null;
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
