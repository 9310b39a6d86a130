import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { configInstances } from '../../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../../agent/haproxy/render/install.ts';
import { errorMessage } from '../../shared/error-message.ts';
import { banner, pathOf } from './banner.ts';
import { printLine } from './console.ts';
import { developerLine, followLog } from './follow-log.ts';
import { type DemoInstance, demoInstances } from './layout.ts';
import type { ProcessRecord } from './process-record.ts';
import { type FirstResponse, waitForFirstResponse } from './readiness.ts';
import * as services from './services.ts';
import { buildStackFile, type StackFile } from './stack-file.ts';
import { waitForStopSignal } from './stop-signal.ts';
import { Supervisor } from './supervisor.ts';

/** The servers to start: installed and not disabled by an option. */
export interface StackServers {
  haproxy: boolean;
  redis: boolean;
  postgres: boolean;
}

/** One run of the whole system on one machine: start, wait for the first response, print the banner, run, stop. */
export class LocalStack {
  readonly #context: services.StackContext;
  readonly #servers: StackServers;
  readonly #supervisor: Supervisor;
  readonly #urls: services.StoreUrls = { redis: null, postgres: null };
  readonly #demo: DemoInstance[];
  readonly #startedAt = Date.now();
  #readyAt: Date | null = null;
  #stopFollowing = (): void => {};

  constructor(context: services.StackContext, servers: StackServers, record: ProcessRecord) {
    this.#context = context;
    this.#servers = servers;
    this.#demo = context.options.demo ? demoInstances(context.derived.config) : [];
    this.#supervisor = new Supervisor(printLine, record, () => this.#writeStackFile());
  }

  /** Returns the exit code: 0 after a stop signal, 1 when a service did not start. */
  async run(): Promise<number> {
    const stopSignal = waitForStopSignal(() => this.#supervisor.kill());
    const started = this.#start().then(() => null, errorMessage);
    const failure = await Promise.race([stopSignal, started]);
    if (failure === null) await stopSignal;
    else if (typeof failure === 'string')
      process.stderr.write(`${failure}\nlogs: ${this.#context.layout.logs}\n`);
    this.#stopFollowing();
    printLine('stopping …');
    rmSync(this.#stackFile, { force: true });
    await this.#supervisor.stop([
      ['edge', 'agent'],
      ['haproxy', ...this.#demo.map(({ id }) => id)],
      ['redis', 'postgres'],
    ]);
    return typeof failure === 'string' ? 1 : 0;
  }

  async #start(): Promise<void> {
    const { layout, derived, secrets } = this.#context;
    rmSync(layout.logs, { recursive: true, force: true });
    mkdirSync(layout.logs, { recursive: true });
    writeFileAtomic.sync(layout.configFile, derived.text, { mode: 0o600 });
    const supervisor = this.#supervisor;
    if (this.#context.options.edge === 'wrangler') this.#showEdgeLog();
    await Promise.all([
      ...this.#demo.map((instance) => supervisor.start(services.instanceService(this.#context, instance))),
      this.#servers.redis &&
        this.#step('Redis', supervisor.start(services.redisService(this.#context, this.#urls))),
      this.#servers.postgres &&
        this.#step('Postgres', supervisor.start(services.postgresService(this.#context, this.#urls))),
      this.#servers.haproxy && this.#step('HAProxy', this.#startHaproxy()),
      this.#step('edge', supervisor.start(services.edgeService(this.#context))),
    ]);
    if (this.#demo.length > 0) printLine(`  ${this.#demo.length} demo instances are up`);
    await this.#step('agent', supervisor.start(services.agentService(this.#context, this.#urls)));
    printLine('  waiting for the first response through edge and gateway …');
    const firstResponse = await waitForFirstResponse({
      edge: `http://127.0.0.1:${derived.edge.port}`,
      edgeToken: secrets.EDGE_TOKEN,
      config: derived.config,
      stopping: () => supervisor.stopping,
    });
    if (!supervisor.stopping) this.#printBanner(firstResponse);
  }

  /** For a developer: build errors, reloads, and what the Worker logs. */
  #showEdgeLog(): void {
    this.#stopFollowing = followLog(join(this.#context.layout.logs, 'edge.log'), (line) => {
      const shown = developerLine(line);
      if (shown !== null) printLine(`  edge │ ${shown}`);
    });
  }

  async #startHaproxy(): Promise<void> {
    const { derived, secrets } = this.#context;
    await installHaproxyConfig({
      config: derived.config,
      instances: configInstances(derived.config),
      secrets: {
        statsUser: secrets.HAPROXY_STATS_USER,
        statsPassword: secrets.HAPROXY_STATS_PASSWORD,
        edgePublicKeys: secrets.EDGE_JWT_PUBLIC_KEYS,
      },
    });
    await this.#supervisor.start(services.haproxyService(this.#context));
  }

  async #step(name: string, work: Promise<void>): Promise<void> {
    await work;
    if (!this.#supervisor.stopping) printLine(`  ${name} is up`);
  }

  /** No response is not fatal: with `--no-demo` the instances can start later. */
  #printBanner(firstResponse: FirstResponse | null): void {
    const { layout, derived, options } = this.#context;
    this.#readyAt = new Date();
    const stack = this.#writeStackFile();
    if (!stack) return;
    const configured = Object.values(derived.config.services);
    printLine(
      banner({
        stack,
        stateDir: shortPath(layout.stateDir),
        inspector: options.edge === 'wrangler' ? `127.0.0.1:${layout.inspectorPort}` : null,
        services: configured.length,
        demo: this.#demo,
        firstPath: configured[0] ? pathOf(configured[0]) : '/',
        firstResponder: firstResponse?.instance ?? null,
        seconds: (Date.now() - this.#startedAt) / 1000,
      }),
    );
  }

  get #stackFile(): string {
    return join(this.#context.layout.stateDir, 'stack.json');
  }

  #writeStackFile(): StackFile | null {
    if (!this.#readyAt || this.#supervisor.stopping) return null;
    const { derived, secrets, layout, options } = this.#context;
    const all = Object.values(derived.config.services).flatMap((service) =>
      service.instances.map(({ id, url }) => ({ service: service.id, id, url })),
    );
    const stack = buildStackFile({
      derived,
      derivation: {
        portOffset: options.portOffset,
        moveInstances: options.demo,
        runFolder: layout.runFolder,
      },
      secrets,
      urls: this.#urls,
      instances: all,
      haproxy: this.#servers.haproxy,
      readyAt: this.#readyAt,
      pid: (name) => this.#supervisor.pid(name),
    });
    writeFileAtomic.sync(this.#stackFile, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
    return stack;
  }
}

/** The path as a user would type it: relative inside the current folder, else absolute. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short || '.';
}
