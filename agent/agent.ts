import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../shared/config/config.ts';
import { createApp } from './api/app.ts';
import { listen } from './api/listen.ts';
import { type AgentStatus, createLiveView, registerDashboard } from './dashboard/index.ts';
import { createEdgeReports } from './edge-reports.ts';
import { createEdgeTokenCheck } from './edge-token.ts';
import type { Environment } from './env.ts';
import { createEventLog } from './events.ts';
import { every } from './every.ts';
import { explain } from './explain.ts';
import { createFaultReporter } from './faults.ts';
import { openHistory } from './history.ts';
import { createHostLoad } from './host-load.ts';
import { initialRecords } from './judge/initial.ts';
import { createLeader, type Leader, single } from './leader.ts';
import { openLive } from './live/open.ts';
import type { Log } from './log.ts';
import { createLoop, type Loop } from './loop.ts';
import { createMetrics } from './metrics/metrics.ts';
import { openOperations } from './operations.ts';
import { paceOf } from './probes/pace.ts';
import { createProber } from './probes/scheduler.ts';
import { targetsOf } from './probes/targets.ts';
import { createReconfigure, type Reconfigured } from './reconfigure.ts';
import { openRegistry, type Registry } from './registry/registry.ts';
import { startSharing } from './registry/sharing.ts';
import { createHaproxySink } from './sinks/haproxy.ts';
import { createRedisSink } from './sinks/redis.ts';
import type { Sink } from './sinks/sink.ts';
import { openSnapshotSink, snapshotStatus } from './snapshot/open.ts';
import { instanceKey } from './state.ts';
import { createStateFile, loadJudged } from './state-file.ts';
import { createUpkeep } from './upkeep/schedule.ts';

export interface AgentOptions {
  config: Config;
  /** The operator's file: a configuration given through the API is written there. */
  configPath: string;
  env: Environment;
  /** Throws when the environment lacks what this configuration needs. */
  checkEnvironment(config: Config): void;
  stateDir: string;
  version: string;
  log: Log;
}

export interface Agent {
  /** Takes the file as it reads now, whole, or throws and keeps the old configuration whole. */
  reload(text: string): Promise<Reconfigured>;
  close(): Promise<void>;
}

const TICK_MS = 250;
const REFRESH_MS = 5_000;
const METRICS_MS = 10_000;
/** The agent calls itself ready after this long even if an instance never answered. */
const READY_AFTER_MS = 5_000;
const CLOSE_MS = 5_000;

/** Puts the parts together and sets them going. Everything started here is released by `close`, in reverse order. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { env, stateDir, version, log } = options;
  let config = options.config;
  const startedAt = Date.now();
  const complain = (what: string) => (error: unknown) =>
    log.error({ error: error instanceof Error ? error.message : String(error) }, what);

  const saved = await loadJudged(stateDir, complain('saved state not used'));
  const live = openLive({ redisUrl: env.redisUrl, site: config.site.id, log });
  const events = createEventLog();

  let leader: Leader = single;
  const snapshot = await openSnapshotSink({
    ...{ config: () => config, env, stateDir, leader: () => leader, log },
    pins: () => operations.snapshotPins(),
  });
  const history = await openHistory({ config, env, stateDir, log, isLeader: () => leader.isLeader() });
  const operations = openOperations({
    ...{ config: () => config, env, history, live, log },
    instances: () => loop.instances(),
    isLeader: () => leader.isLeader(),
    onPins: () => snapshot?.force(),
  });
  const haproxy = createHaproxySink({
    config,
    secrets: { ...env, edgePublicKeys: env.edgeJwtPublicKeys },
    production: env.production,
    log,
    emit: (deltas) => {
      for (const delta of deltas) loop.apply(delta);
    },
    hint: (service, instance) => prober.hint(instanceKey(service, instance)),
  });
  const sinks: Sink[] = [
    haproxy,
    createRedisSink({ live, config: () => config, log }),
    history.sink,
    ...(snapshot ? [snapshot] : []),
  ];

  const view = createLiveView({ config: () => config });
  const metrics = createMetrics({ version, site: config.site.id, status });
  const prober = createProber({
    onResult(result) {
      metrics.probe(result);
      void loop.apply(result);
    },
  });
  const stateFile = createStateFile({
    stateDir,
    records: () => loop.records().values(),
    onError: complain('state not saved'),
  });

  const loop: Loop = createLoop({
    resumed: initialRecords(config, saved, startedAt),
    policies: config.services,
    listeners: [
      // Before the snapshot: it carries pins that just moved.
      { name: 'operations', accept: operations.accept },
      ...sinks,
      { name: 'events', accept: events.accept },
      { name: 'dashboard', accept: view.accept },
      { name: 'metrics', accept: metrics.accept },
      {
        name: 'agent',
        accept({ changes }) {
          registry?.accept({ changes });
          if (changes.length > 0) stateFile.touch();
          if (changes.some(({ kind }) => kind === 'registered' || kind === 'deregistered')) probeAll();
          for (const change of changes) log.info({ ...change }, 'change');
        },
      },
    ],
    onFault: createFaultReporter(log, metrics.listenerFault),
    host: createHostLoad(),
    onJudged(record, now) {
      const { service, id, lastProbe } = record.instance;
      prober.pace(instanceKey(service, id), paceOf(record.tally, lastProbe?.error, now));
    },
  });
  let registry: Registry | undefined;
  registry = await openRegistry({
    config: () => config,
    stateDir,
    instances: loop.instances,
    apply: loop.apply,
    onError: complain('registry not saved'),
  });
  const commands = registry;
  const sharing = startSharing({ live, own: commands.intents, merge: commands.merge, log });
  commands.shareWith(sharing.tell);

  function probeAll(): void {
    prober.sync(targetsOf(loop.instances().values(), config));
  }

  function status(): AgentStatus {
    return {
      version,
      site: config.site.id,
      startedAt,
      ready: waitingFor().length === 0,
      leader: leader.status(),
      snapshot: snapshotStatus(snapshot),
      sinks: Object.fromEntries(sinks.map((sink) => [sink.name, sink.status()])),
    };
  }

  function waitingFor(): string[] {
    if (Date.now() - startedAt > READY_AFTER_MS) return [];
    return [...loop.instances().values()]
      .filter(({ health, origin }) => health === 'unknown' && origin === 'file')
      .map(({ id }) => id);
  }

  const reconfigure = createReconfigure({
    current: () => config,
    path: options.configPath,
    log,
    apply: loop.apply,
    async check(next) {
      options.checkEnvironment(next);
      await haproxy.check(next);
      commands.checkFile(next);
    },
    adopt(next) {
      config = next;
      haproxy.reconfigure(next);
      loop.setPolicies(next.services);
      log.level = next.logging.level;
    },
    adopted() {
      commands.judgeAddresses();
      probeAll();
      snapshot?.force();
      stateFile.touch();
    },
  });

  if (config.site.agents > 1) {
    leader = createLeader({
      // Two containers may have the same host name and process id.
      owner: `${hostname()}/${process.pid}/${randomBytes(3).toString('hex')}`,
      lease: live,
      hub: snapshot ?? undefined,
      onChange: (leading) => leading && snapshot?.claim(),
      log,
    });
  }

  const toEvidence = createEdgeReports(() => config);
  const checkToken = createEdgeTokenCheck(env.edgeJwtPublicKeys, config.site.id);
  const app = createApp({
    token: env.token,
    version,
    context: {
      config: () => config,
      instances: loop.instances,
      registry: commands,
      events,
      health: () => ({
        version,
        uptimeSeconds: Math.round((Date.now() - startedAt) / 1000),
        leader: leader.status(),
        probes: prober.stats(),
        sinks: Object.fromEntries(sinks.map((sink) => [sink.name, sink.status()])),
      }),
      waitingFor,
      metrics: async () => ({ text: await metrics.render(), contentType: metrics.contentType }),
      edgeToken: (token) => checkToken(token, Date.now()),
      edgeReport(report) {
        const evidence = toEvidence(report, Date.now());
        if (!evidence) return;
        for (const delta of evidence) loop.apply(delta);
        view.edgeReport(report);
        metrics.edgeReport(report);
      },
      explain: (question) =>
        explain(
          question,
          { config, instances: loop.instances().values(), pins: operations.snapshotPins() },
          Date.now(),
        ),
      reconfigure: reconfigure.text,
      publish() {
        if (!leader.isLeader()) return null;
        snapshot?.force();
        return snapshot?.published().order ?? null;
      },
      log,
      now: Date.now,
    },
    extend(app) {
      operations.register(app);
      registerDashboard(app, { live: view, status });
    },
  });
  await haproxy.start();
  const server = await listen(app.fetch, config.agent.bind);
  const upkeep = createUpkeep({
    ...{ database: history.database, config: () => config, log },
    isLeader: () => leader.isLeader(),
  });
  upkeep.start();

  probeAll();
  let beat = 0;
  const stops = [
    every(TICK_MS, () => {
      commands.keepAlive(leader.status().error !== null);
      loop.tick();
      if (waitingFor().length === 0) snapshot?.open();
    }),
    every(REFRESH_MS, () => loop.refresh(++beat % (METRICS_MS / REFRESH_MS) === 0)),
  ];
  loop.refresh(false);
  log.info({ bind: config.agent.bind, instances: loop.instances().size }, 'agent runs');

  return {
    reload: reconfigure.file,
    async close() {
      for (const stop of stops) stop();
      prober.close();
      await server.close();
      // What was decided last and not told yet.
      loop.refresh(false);
      await leader.close();
      await sharing.close();
      await upkeep.stop();
      await operations.close(CLOSE_MS);
      await Promise.all(sinks.map((sink) => sink.close(CLOSE_MS)));
      await stateFile.close();
      await commands.close();
      await history.close();
      await live.close();
    },
  };
}
