import type { RunningServer } from '../../dev/servers/child.ts';
import type { StackService } from '../../dev/stack/supervisor.ts';

/** One program of the bed, which a fault can signal, kill and start again. Nothing restarts it by itself. */
export class Part {
  readonly name: string;
  readonly #service: StackService;
  #running: RunningServer | null = null;

  constructor(service: StackService) {
    this.name = service.name;
    this.#service = service;
  }

  get pid(): number {
    const child = this.#running?.child;
    if (!child?.running) throw new Error(`${this.name} does not run`);
    return child.pid;
  }

  get running(): boolean {
    return this.#running?.child.running === true;
  }

  async start(): Promise<this> {
    this.#running = await this.#service.start(() => {});
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.#running?.child.signal(signal);
  }

  /** SIGKILL. Resolves when the process has ended. */
  async kill(): Promise<void> {
    const running = this.#running;
    running?.child.signal('SIGKILL');
    await running?.child.ended;
    await running?.stop();
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    await this.#running?.stop();
  }

  tail(): string {
    return this.#running?.child.tail(12) ?? '';
  }
}
