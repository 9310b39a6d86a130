import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../shared/config/config.ts';
import { createReconfigurer, type ReconfigureResult } from './configuration/reconfigure.ts';
import { createEventLog } from './core/event-log.ts';
import { createHostLoad } from './core/host-load.ts';
import { createLeader, type Leader, singleAgent } from './core/leader.ts';
import { createListenerErrorReporter } from './core/listener-errors.ts';
import { createLoop, type Loop } from './core/loop.ts';
import type { Sink } from './core/sink.ts';
import { instanceKey } from './core/state.ts';
import { createStateFile, loadSavedRecords } from './core/state-file.ts';
import { createTrafficWindow } from './core/traffic-window.ts';
import { createEdgeReportReader } from './edge/reports.ts';
import { createEdgeTokenVerifier } from './edge/token.ts';
import type { Environment } from './env.ts';
import { createHaproxySink } from './haproxy/sink.ts';
import { createMaintenanceSchedule } from './history/maintenance/schedule.ts';
import { openHistoryStore } from './history/open.ts';
import { createApp } from './http/api/app.ts';
import { listen } from './http/api/listen.ts';
import { registerDashboard } from './http/dashboard/routes.ts';
import { createStatusView } from './http/dashboard/status.ts';
import { explain } from './http/explain.ts';
import type { AgentStatus } from './http/schemas.ts';
import { initialRecords } from './judge/initial.ts';
import { every } from './lib/every.ts';
import type { Log } from './lib/log.ts';
import { openLiveState } from './live/open.ts';
import { createLiveSink } from './live/sink.ts';
import { createMetrics } from './metrics/metrics.ts';
import { openOperations } from './operations.ts';
import { probeIntervalFor } from './probes/interval.ts';
import { createProber } from './probes/scheduler.ts';
import { probeTargetsOf } from './probes/targets.ts';
import { openRegistry, type Registry } from './registry/registry.ts';
import { startReplication } from './registry/replication.ts';
import { openSnapshotSink, snapshotStatus } from './snapshot/open.ts';

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
  reload(text: string): Promise<ReconfigureResult>;
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

  const saved = await loadSavedRecords(stateDir, complain('saved state not used'));
  const live = openLiveState({ redisUrl: env.redisUrl, site: config.site.id, log });
  const events = createEventLog();
  const window = createTrafficWindow(() => config.monitor.window);

  let leader: Leader = singleAgent;
  const snapshot = await openSnapshotSink({
    ...{ config: () => config, env, stateDir, leader: () => leader, log },
    pins: () => operations.snapshotPins(),
  });
  const history = await openHistoryStore({
    config,
    env,
    stateDir,
    window,
    log,
    isLeader: () => leader.isLeader(),
  });
  const operations = openOperations({
    ...{ config: () => config, env, history, live, window, log },
    instances: () => loop.instances(),
    isLeader: () => leader.isLeader(),
    onPinsChanged: () => snapshot?.publishNow(),
  });
  const haproxy = createHaproxySink({
    config,
    secrets: { ...env, edgePublicKeys: env.edgeJwtPublicKeys },
    production: env.production,
    log,
    onTraffic: (deltas) => {
      for (const delta of deltas) loop.apply(delta);
    },
    onConnectFailure: (service, instance) => prober.probeNow(instanceKey(service, instance)),
  });
  const sinks: Sink[] = [
    haproxy,
    createLiveSink({ live, config: () => config, log }),
    history.sink,
    ...(snapshot ? [snapshot] : []),
  ];

  const view = createStatusView({ config: () => config, window });
  const metrics = createMetrics({ version, site: config.site.id, status, window });
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
    initialRecords: initialRecords(config, saved, startedAt),
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
          if (changes.length > 0) stateFile.scheduleWrite();
          if (changes.some(({ kind }) => kind === 'registered' || kind === 'deregistered')) probeAll();
          for (const change of changes) log.info({ ...change }, 'change');
        },
      },
    ],
    onListenerError: createListenerErrorReporter(log, metrics.listenerError),
    hostLoad: createHostLoad(),
    window,
    onRecordUpdated(record, now) {
      const { service, id, lastProbe } = record.instance;
      prober.setProbeInterval(
        instanceKey(service, id),
        probeIntervalFor(record.tally, lastProbe?.error, now),
      );
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
  const sharing = startReplication({ live, localIntents: commands.intents, merge: commands.merge, log });
  commands.replicateTo(sharing.publish);

  function probeAll(): void {
    prober.sync(probeTargetsOf(loop.instances().values(), config));
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

  const reconfigure = createReconfigurer({
    current: () => config,
    path: options.configPath,
    log,
    apply: loop.apply,
    async check(next) {
      options.checkEnvironment(next);
      await haproxy.check(next);
      commands.checkFile(next);
    },
    activate(next) {
      config = next;
      haproxy.reconfigure(next);
      loop.setPolicies(next.services);
      log.level = next.logging.level;
    },
    onActivated() {
      commands.enforceAddressPolicy();
      probeAll();
      snapshot?.publishNow();
      stateFile.scheduleWrite();
    },
  });

  if (config.site.agents > 1) {
    leader = createLeader({
      // Two containers may have the same host name and process id.
      owner: `${hostname()}/${process.pid}/${randomBytes(3).toString('hex')}`,
      lease: live,
      hub: snapshot ?? undefined,
      onChange: (leading) => leading && snapshot?.claimEpoch(),
      log,
    });
  }

  const toEvidence = createEdgeReportReader(() => config);
  const checkToken = createEdgeTokenVerifier(env.edgeJwtPublicKeys, config.site.id);
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
      instancesWithoutState: waitingFor,
      metrics: async () => ({ text: await metrics.render(), contentType: metrics.contentType }),
      isValidEdgeToken: (token) => checkToken(token, Date.now()),
      acceptEdgeReport(report) {
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
      reconfigure: reconfigure.applyText,
      publish() {
        if (!leader.isLeader()) return null;
        snapshot?.publishNow();
        return snapshot?.published().order ?? null;
      },
      log,
      now: Date.now,
    },
    extend(app) {
      operations.register(app);
      registerDashboard(app, { view, status });
    },
  });
  await haproxy.start();
  const server = await listen(app.fetch, config.agent.bind);
  const upkeep = createMaintenanceSchedule({
    ...{ database: history.database, config: () => config, log },
    isLeader: () => leader.isLeader(),
  });
  upkeep.start();

  probeAll();
  let beat = 0;
  const stops = [
    every(TICK_MS, () => {
      commands.creditMissedHeartbeats(leader.status().error !== null);
      loop.tick();
      if (waitingFor().length === 0) snapshot?.enable();
    }),
    every(REFRESH_MS, () => loop.refresh(++beat % (METRICS_MS / REFRESH_MS) === 0)),
  ];
  loop.refresh(false);
  log.info({ bind: config.agent.bind, instances: loop.instances().size }, 'agent runs');

  return {
    reload: reconfigure.applyFile,
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
