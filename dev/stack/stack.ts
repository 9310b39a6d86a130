import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { configInstances } from '../../agent/haproxy/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/install.ts';
import { removeFile, writeWhole } from './files.ts';
import { type DemoInstance, demoInstances } from './layout.ts';
import * as parts from './parts.ts';
import type { ProcessRecord } from './processes.ts';
import { type Arrival, untilARequestWentThrough } from './ready.ts';
import { say } from './say.ts';
import { pathOf, screen } from './screen.ts';
import { type StackFile, stackFile } from './stack-file.ts';
import { untilToldToStop } from './stop.ts';
import { Supervisor } from './supervisor.ts';

/** Which servers there are on this machine and wanted. */
export interface Servers {
  haproxy: boolean;
  redis: boolean;
  postgres: boolean;
}

/** One run of the whole system on one machine: start, wait until it works, tell, stay, end everything. */
export class Stack {
  readonly #parts: parts.StackParts;
  readonly #servers: Servers;
  readonly #supervisor: Supervisor;
  readonly #urls: parts.Urls = { redis: null, postgres: null };
  readonly #demo: DemoInstance[];
  readonly #begun = Date.now();
  #readyAt: Date | null = null;

  constructor(stackParts: parts.StackParts, servers: Servers, record: ProcessRecord) {
    this.#parts = stackParts;
    this.#servers = servers;
    this.#demo = stackParts.options.demo ? demoInstances(stackParts.derived.config) : [];
    this.#supervisor = new Supervisor(say, record, () => this.#writeStackFile());
  }

  /** Resolves with the exit code: 0 when asked to stop, 1 when it could not start. */
  async run(): Promise<number> {
    const told = untilToldToStop(() => this.#supervisor.kill());
    const started = this.#start().then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const failure = await Promise.race([told, started]);
    if (failure === null) await told;
    else if (typeof failure === 'string')
      process.stderr.write(`${failure}\nlogs: ${this.#parts.layout.logs}\n`);
    say('stopping …');
    removeFile(this.#stackFile);
    await this.#supervisor.stop([
      ['edge', 'agent'],
      ['haproxy', ...this.#demo.map(({ id }) => id)],
      ['redis', 'postgres'],
    ]);
    return typeof failure === 'string' ? 1 : 0;
  }

  async #start(): Promise<void> {
    const { layout, derived, secrets } = this.#parts;
    rmSync(layout.logs, { recursive: true, force: true });
    mkdirSync(layout.logs, { recursive: true });
    writeWhole(layout.configFile, derived.text);
    const supervisor = this.#supervisor;
    await Promise.all([
      ...this.#demo.map((instance) => supervisor.start(parts.instancePart(this.#parts, instance))),
      this.#servers.redis && this.#step('Redis', supervisor.start(parts.redisPart(this.#parts, this.#urls))),
      this.#servers.postgres &&
        this.#step('Postgres', supervisor.start(parts.postgresPart(this.#parts, this.#urls))),
      this.#servers.haproxy && this.#step('HAProxy', this.#startHaproxy()),
      this.#step('edge', supervisor.start(parts.edgePart(this.#parts))),
    ]);
    if (this.#demo.length > 0) say(`  ${this.#demo.length} demo instances are up`);
    await this.#step('agent', supervisor.start(parts.agentPart(this.#parts, this.#urls)));
    say('  waiting until a request goes all the way …');
    const arrival = await untilARequestWentThrough({
      edge: `http://127.0.0.1:${derived.edge.port}`,
      edgeToken: secrets.EDGE_TOKEN,
      config: derived.config,
      stopping: () => supervisor.stopping,
    });
    if (!supervisor.stopping) this.#tell(arrival);
  }

  async #startHaproxy(): Promise<void> {
    const { derived, secrets } = this.#parts;
    await installHaproxyConfig({
      config: derived.config,
      instances: configInstances(derived.config),
      secrets: {
        statsUser: secrets.HAPROXY_STATS_USER,
        statsPassword: secrets.HAPROXY_STATS_PASSWORD,
        edgePublicKeys: secrets.EDGE_JWT_PUBLIC_KEYS,
      },
    });
    await this.#supervisor.start(parts.haproxyPart(this.#parts));
  }

  async #step(name: string, work: Promise<void>): Promise<void> {
    await work;
    if (!this.#supervisor.stopping) say(`  ${name} is up`);
  }

  /** Nothing answering is said, not fatal: with `--no-demo` the instances may come up later. */
  #tell(arrival: Arrival | null): void {
    const { layout, derived } = this.#parts;
    this.#readyAt = new Date();
    const stack = this.#writeStackFile();
    if (!stack) return;
    const services = Object.values(derived.config.services);
    say(
      screen({
        stack,
        stateDir: shortPath(layout.stateDir),
        services: services.length,
        demo: this.#demo,
        firstPath: services[0] ? pathOf(services[0]) : '/',
        firstAnswer: arrival?.instance ?? null,
        seconds: (Date.now() - this.#begun) / 1000,
      }),
    );
  }

  get #stackFile(): string {
    return join(this.#parts.layout.stateDir, 'stack.json');
  }

  #writeStackFile(): StackFile | null {
    if (!this.#readyAt || this.#supervisor.stopping) return null;
    const { derived, secrets } = this.#parts;
    const all = Object.values(derived.config.services).flatMap((service) =>
      service.instances.map(({ id, url }) => ({ service: service.id, id, url })),
    );
    const stack = stackFile({
      derived,
      secrets,
      urls: this.#urls,
      instances: all,
      haproxy: this.#servers.haproxy,
      readyAt: this.#readyAt,
      pid: (name) => this.#supervisor.pid(name),
    });
    writeWhole(this.#stackFile, `${JSON.stringify(stack, null, 2)}\n`);
    return stack;
  }
}

/** As one would type it here: relative inside this folder, else whole. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short || '.';
}
