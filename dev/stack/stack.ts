import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { banner, pathOf } from './banner.ts';
import { printLine } from './console.ts';
import { removeFile, writeWhole } from './files.ts';
import { type DemoInstance, demoInstances } from './layout.ts';
import type { ProcessRecord } from './process-record.ts';
import { type FirstResponse, waitForFirstResponse } from './readiness.ts';
import * as parts from './services.ts';
import { buildStackFile, type StackFile } from './stack-file.ts';
import { waitForStopSignal } from './stop-signal.ts';
import { Supervisor } from './supervisor.ts';

/** Which servers there are on this machine and wanted. */
export interface StackServers {
  haproxy: boolean;
  redis: boolean;
  postgres: boolean;
}

/** One run of the whole system on one machine: start, wait until it works, tell, stay, end everything. */
export class LocalStack {
  readonly #parts: parts.StackContext;
  readonly #servers: StackServers;
  readonly #supervisor: Supervisor;
  readonly #urls: parts.StoreUrls = { redis: null, postgres: null };
  readonly #demo: DemoInstance[];
  readonly #begun = Date.now();
  #readyAt: Date | null = null;

  constructor(stackParts: parts.StackContext, servers: StackServers, record: ProcessRecord) {
    this.#parts = stackParts;
    this.#servers = servers;
    this.#demo = stackParts.options.demo ? demoInstances(stackParts.derived.config) : [];
    this.#supervisor = new Supervisor(printLine, record, () => this.#writeStackFile());
  }

  /** Resolves with the exit code: 0 when asked to stop, 1 when it could not start. */
  async run(): Promise<number> {
    const told = waitForStopSignal(() => this.#supervisor.kill());
    const started = this.#start().then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const failure = await Promise.race([told, started]);
    if (failure === null) await told;
    else if (typeof failure === 'string')
      process.stderr.write(`${failure}\nlogs: ${this.#parts.layout.logs}\n`);
    printLine('stopping …');
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
      ...this.#demo.map((instance) => supervisor.start(parts.instanceService(this.#parts, instance))),
      this.#servers.redis &&
        this.#step('Redis', supervisor.start(parts.redisService(this.#parts, this.#urls))),
      this.#servers.postgres &&
        this.#step('Postgres', supervisor.start(parts.postgresService(this.#parts, this.#urls))),
      this.#servers.haproxy && this.#step('HAProxy', this.#startHaproxy()),
      this.#step('edge', supervisor.start(parts.edgeService(this.#parts))),
    ]);
    if (this.#demo.length > 0) printLine(`  ${this.#demo.length} demo instances are up`);
    await this.#step('agent', supervisor.start(parts.agentService(this.#parts, this.#urls)));
    printLine('  waiting until a request goes all the way …');
    const arrival = await waitForFirstResponse({
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
    await this.#supervisor.start(parts.haproxyService(this.#parts));
  }

  async #step(name: string, work: Promise<void>): Promise<void> {
    await work;
    if (!this.#supervisor.stopping) printLine(`  ${name} is up`);
  }

  /** Nothing answering is said, not fatal: with `--no-demo` the instances may come up later. */
  #tell(arrival: FirstResponse | null): void {
    const { layout, derived } = this.#parts;
    this.#readyAt = new Date();
    const stack = this.#writeStackFile();
    if (!stack) return;
    const services = Object.values(derived.config.services);
    printLine(
      banner({
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
    const stack = buildStackFile({
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
