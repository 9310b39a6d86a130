import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../shared/config/config.ts';
import { errorMessage } from '../shared/error-message.ts';
import { CONDITION_RULES } from './alerting/conditions/condition.ts';
import { createEdgeWatch, createOrderHistory } from './alerting/conditions/edge-watch.ts';
import type { PlatformFacts } from './alerting/conditions/platform.ts';
import { startAlerting } from './alerting/open.ts';
import { toConfigEvents } from './configuration/events.ts';
import { createPreviousConfigs, type PreviousConfigs } from './configuration/previous.ts';
import {
  createReconfigurer,
  type ReconfigureResult,
  type Reconfigurer,
} from './configuration/reconfigure.ts';
import { createRefusedConfig } from './configuration/refused.ts';
import type { Environment } from './core/environment.ts';
import { createEventLog } from './core/event-log.ts';
import { createHostLoad } from './core/host-load.ts';
import { createLeader, singleAgent } from './core/leader.ts';
import { createListenerErrorReporter } from './core/listener-errors.ts';
import { createLoop } from './core/loop.ts';
import type { RequestDelta } from './core/requests.ts';
import type { Sink } from './core/sink.ts';
import { instanceKey } from './core/state.ts';
import { createStateFile, loadSavedRecords } from './core/state-file.ts';
import { createTrafficWindow, MAX_LATENESS_MS } from './core/traffic-window.ts';
import { createEdgeReportReader } from './edge/reports.ts';
import { type ReportId, startRequestSharing } from './edge/share-requests.ts';
import { createEdgeTokenVerifier, limitTokenChecks } from './edge/token.ts';
import { createHaproxySink } from './haproxy/sink.ts';
import { createMaintenanceSchedule } from './history/maintenance/schedule.ts';
import { openHistoryStore } from './history/open.ts';
import { configAuditRecord } from './history/records.ts';
import { withStatementTimeout } from './history/sql/database.ts';
import { createApp } from './http/api/app.ts';
import type { ApiContext } from './http/api/context.ts';
import { listen } from './http/api/listen.ts';
import { firingAlerts, registerAlertRoutes } from './http/api/routes/alerts.ts';
import { registerSessionRoutes } from './http/api/routes/sessions.ts';
import { registerSummaryRoutes } from './http/api/routes/summary.ts';
import { registerDashboard } from './http/dashboard/routes.ts';
import { COUNTER_LAG_MS, createStatusView } from './http/dashboard/status.ts';
import { trafficShares } from './http/dashboard/traffic-window.ts';
import { explain } from './http/explain.ts';
import type { AgentStatus } from './http/schemas.ts';
import { initialRecords } from './judge/initial.ts';
import { parseSavedRecords } from './judge/resume.ts';
import { step } from './judge/step.ts';
import { every } from './lib/every.ts';
import type { Log } from './lib/log.ts';
import { createMessageSigner } from './lib/message-signer.ts';
import { createSignal } from './lib/signal.ts';
import { TTL_SECONDS } from './live/keys.ts';
import { openLiveState } from './live/open.ts';
import { createLiveSink } from './live/sink.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { probeIntervalFor } from './probes/interval.ts';
import { createProber } from './probes/scheduler.ts';
import { probeTargetsOf } from './probes/targets.ts';
import { openRegistry } from './registry/registry.ts';
import { startReplication } from './registry/replication.ts';
import { createSignedIntents, INTENT_MAX_AGE_MS } from './registry/signed-intents.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSessionStore } from './sessions/store.ts';
import { openSnapshotSink, snapshotStatus } from './snapshot/open.ts';
import type { SnapshotSink } from './snapshot/sink.ts';

export interface AgentOptions {
  config: Config;
  /** The text of `config`. */
  configText: string;
  /** The operator's file. A configuration set through the API is written there. */
  configPath: string;
  env: Environment;
  /** Throws if the environment lacks a variable that this configuration needs. */
  checkEnvironment(config: Config): void;
  stateDir: string;
  version: string;
  log: Log;
}

export interface Agent {
  /** Applies the text of the configuration file. On an error it throws, and the old configuration stays in effect. */
  reload(text: string): Promise<ReconfigureResult>;
  close(): Promise<void>;
}

const TICK_MS = 250;
const REFRESH_MS = 5_000;
const METRICS_MS = 10_000;
/** After this long the agent is ready even if an instance never answered a probe. */
const READY_AFTER_MS = 5_000;
/** Traffic this recent makes an edge that sends no report suspicious. */
const EDGE_TRAFFIC_MS = 60_000;
/** Older requests of the other agent are not shown. */
const MAX_SHARED_AGE_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** A session request fails after this long if the database does not answer. */
const SESSION_QUERY_TIMEOUT_MS = 5_000;

/** The current configuration, and what never changes while the agent runs. */
interface Setup extends Omit<AgentOptions, 'config'> {
  startedAt: number;
  previousConfigs: PreviousConfigs;
  config(): Config;
  setConfig(config: Config): void;
}

type Stores = Awaited<ReturnType<typeof openStores>>;
type Core = ReturnType<typeof createCore>;
type Subjects = Awaited<ReturnType<typeof attachSinks>>;

/** Starts the agent in stages. Each stage uses only the parts of earlier stages. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  let { config } = options;
  const setup: Setup = {
    ...options,
    startedAt: Date.now(),
    previousConfigs: createPreviousConfigs(options.stateDir),
    config: () => config,
    setConfig(next) {
      config = next;
    },
  };
  await setup.previousConfigs
    .activated(options.configText, true)
    .catch(logError(options.log, 'previous configuration not kept'));
  const stores = await openStores(setup);
  const core = createCore(setup, stores);
  const subjects = await attachSinks(setup, stores, core);
  const reconfigurer = createAgentReconfigurer(setup, stores, core, subjects);
  const service = await serve(setup, { ...stores, ...core, ...subjects, reconfigurer });
  return {
    reload: (text) => core.refusedConfig.watch(reconfigurer.applyFile(text)),
    close: () => close(service, subjects, core, stores),
  };
}

const logError = (log: Log, message: string) => (error: unknown) =>
  log.error({ error: errorMessage(error) }, message);

/** Stage 1: everything that survives a restart or is shared with other agents. */
async function openStores({ config, env, stateDir, log }: Setup) {
  const { id: site, agents } = config().site;
  const saved = await loadSavedRecords(stateDir, logError(log, 'saved state not used'));
  const live = openLiveState({ redisUrl: env.redisUrl, site, log });
  // Two containers may have the same host name and process id.
  const owner = `${hostname()}/${process.pid}/${randomBytes(3).toString('hex')}`;
  const leader = agents > 1 ? createLeader({ owner, lease: live, log }) : singleAgent;
  const window = createTrafficWindow(() => config().monitor.window);
  const history = await openHistoryStore({
    config: config(),
    env,
    stateDir,
    window,
    log,
    isLeader: leader.isLeader,
  });
  return { saved: parseSavedRecords(saved), live, leader, window, history, owner };
}

/** Stage 2: the loop, the probes that feed it, and its passive listeners. */
function createCore({ config, env, version, stateDir, startedAt, log }: Setup, stores: Stores) {
  const { saved, window } = stores;
  const events = createEventLog();
  const statusView = createStatusView({ config, window });
  const metrics = createMetrics({
    version,
    site: config().site.id,
    services: Object.keys(config().services),
    window,
  });
  const loop = createLoop({
    step,
    initialRecords: initialRecords(config(), saved, startedAt),
    policies: config().services,
    hostLoad: createHostLoad(),
    window,
    onListenerError: createListenerErrorReporter(log, metrics.listenerError),
  });
  const prober = createProber({
    onResult(result) {
      metrics.probe(result);
      loop.apply(result);
    },
  });
  loop.watchRecords((record, now) => {
    const { service, id } = record.instance;
    prober.setProbeInterval(instanceKey(service, id), probeIntervalFor(record, now));
  });
  const stateFile = createStateFile({
    stateDir,
    records: () => loop.records().values(),
    onError: logError(log, 'state not saved'),
  });
  return {
    events,
    statusView,
    metrics,
    loop,
    prober,
    stateFile,
    edgeWatch: createEdgeWatch(),
    refusedConfig: createRefusedConfig(),
    probeAll: () => prober.sync(probeTargetsOf(loop.instances().values(), config())),
    ...createRequestCounting({ config, env, log }, stores, metrics),
    /** File instances without a health result, which delay readiness for at most READY_AFTER_MS. */
    instancesWithoutState(): string[] {
      if (Date.now() - startedAt > READY_AFTER_MS) return [];
      return [...loop.instances().values()]
        .filter(({ health, origin }) => health === 'unknown' && origin === 'file')
        .map(({ id }) => id);
    },
  };
}

/** Requests as clients saw them, from the edge's reports and HAProxy's log, and from the other agent of the site. */
function createRequestCounting(
  { config, env, log }: Pick<Setup, 'config' | 'env' | 'log'>,
  { live, owner, window }: Stores,
  metrics: Metrics,
) {
  const reportReader = createEdgeReportReader(config);
  const sharing = sharesIntents(config(), env)
    ? startRequestSharing({
        live,
        signer: createMessageSigner(env.intentKeys, MAX_SHARED_AGE_MS),
        site: config().site.id,
        owner,
        onRequests(deltas) {
          // The clock of the other agent may differ.
          const now = Date.now();
          for (const delta of deltas) {
            const at = Math.min(Math.max(delta.at, now - MAX_LATENESS_MS), now);
            window.addRequests({ ...delta, at }, true);
          }
        },
        onReport: (report) => void reportReader.markRead(report),
        log,
      })
    : null;
  return {
    reportReader,
    requestSharing: sharing,
    countRequests(deltas: readonly RequestDelta[], report?: ReportId): void {
      for (const delta of deltas) {
        window.addRequests(delta);
        metrics.requests(delta);
      }
      sharing?.share(deltas, report);
    },
  };
}

/** Stage 3: everything that acts on updates of the loop, and the registrations that restart with it. */
async function attachSinks(setup: Setup, stores: Stores, core: Core) {
  const { config, env, stateDir, log } = setup;
  const { live, leader, window, history } = stores;
  const { loop } = core;
  const { instances } = loop;
  const { isLeader } = leader;
  const pinsChanged = createSignal();
  const sessions = createSessions({
    store: createSessionStore(withStatementTimeout(history.database, SESSION_QUERY_TIMEOUT_MS)),
    live,
    // Without a shared key, this process accepts only its own copies.
    copySigner: createMessageSigner(
      env.intentKeys.length > 0 ? env.intentKeys : [randomBytes(32).toString('base64url')],
      TTL_SECONDS.session * 1_000,
    ),
    instances,
    log,
    isLeader,
    onOverrides: pinsChanged.emit,
  });
  const snapshot = await openSnapshotSink({
    config,
    env,
    stateDir,
    leader,
    log,
    pins: sessions.snapshotPins,
  });
  pinsChanged.subscribe(() => snapshot?.publishNow());
  const haproxy = createAgentHaproxySink(setup, core);
  const sinks: Sink[] = [
    haproxy,
    createLiveSink({ live, config, log }),
    history.sink,
    ...(snapshot ? [snapshot] : []),
  ];
  // Sessions come before the snapshot, which carries the pins that they move.
  loop.addListener({ name: 'sessions', accept: sessions.accept });
  for (const sink of sinks) loop.addListener(sink);
  addPassiveListeners(setup, core);
  const registry = await attachRegistry(setup, stores, core);
  const alerting = startAlerting({
    config,
    env,
    history,
    window,
    instances,
    platform: createPlatformFacts(setup, stores, core, { sinks, snapshot }),
    stateDir,
    log,
    isLeader,
  });
  leader.start({
    hub: snapshot ?? undefined,
    onChange: (leading) => leading && snapshot?.claimEpoch(),
  });
  return { sessions, alerting, snapshot, haproxy, sinks, ...registry };
}

/** What the alerts watch besides instances and figures. */
function createPlatformFacts(
  { config }: Setup,
  { window }: Stores,
  { edgeWatch, refusedConfig }: Core,
  { sinks, snapshot }: { sinks: readonly Sink[]; snapshot: SnapshotSink | null },
): () => PlatformFacts {
  const expectedOrder = createOrderHistory();
  return () => {
    const now = Date.now();
    const { totals } = window.read(now, Math.min(EDGE_TRAFFIC_MS, config().monitor.window));
    const site = totals.get(instanceKey('', ''));
    const published = snapshot?.published();
    return {
      sinks: sinkStatuses(sinks),
      snapshot: snapshot
        ? {
            publishedAt: published?.at ?? null,
            expected: expectedOrder(published?.order ?? null, now),
            error: snapshot.status().lastError,
          }
        : null,
      edge: edgeWatch.facts(),
      recentRequests: site?.attempts ?? 0,
      refusedConfig: refusedConfig.get(),
      now,
    };
  };
}

function createAgentHaproxySink({ config, env, log }: Setup, { loop, prober, countRequests }: Core) {
  return createHaproxySink({
    config: config(),
    secrets: { ...env, edgePublicKeys: env.edgeJwtPublicKeys },
    production: env.production,
    log,
    onTraffic(deltas) {
      for (const delta of deltas) loop.apply(delta);
    },
    onRequests: (deltas) => countRequests(deltas),
    onConnectFailure: (service, instance) => prober.probeNow(instanceKey(service, instance)),
  });
}

function addPassiveListeners({ log }: Setup, core: Core): void {
  const { loop, events, statusView, metrics, stateFile, probeAll } = core;
  loop.addListener({ name: 'events', accept: events.accept });
  loop.addListener({ name: 'dashboard', accept: statusView.accept });
  loop.addListener({ name: 'metrics', accept: metrics.accept });
  loop.addListener({
    name: 'agent',
    accept({ changes }) {
      if (changes.length > 0) stateFile.scheduleWrite();
      if (changes.some(({ kind }) => kind === 'registered' || kind === 'deregistered')) probeAll();
      for (const change of changes) log.info({ ...change }, 'change');
    },
  });
}

async function attachRegistry({ config, env, stateDir, log }: Setup, { live }: Stores, { loop }: Core) {
  const registry = await openRegistry({
    config,
    stateDir,
    instances: loop.instances,
    apply: loop.apply,
    onError: logError(log, 'registry not saved'),
  });
  loop.addListener({ name: 'registry', accept: registry.accept });
  if (!sharesIntents(config(), env)) return { registry, replication: null };
  const signer = createMessageSigner(env.intentKeys, INTENT_MAX_AGE_MS);
  const replication = startReplication({
    live,
    signed: createSignedIntents(signer, config().site.id, Date.now),
    localIntents: registry.intents,
    merge: registry.merge,
    log,
  });
  registry.replicateTo(replication.publish);
  return { registry, replication };
}

/** A single agent takes nothing from Redis. `haproxy.others` means that another agent may exist. */
const sharesIntents = ({ site, haproxy }: Config, { intentKeys }: Environment): boolean =>
  (site.agents > 1 || haproxy.others.length > 0) && intentKeys.length > 0;

function createAgentReconfigurer(
  setup: Setup,
  { history }: Stores,
  core: Core,
  subjects: Subjects,
): Reconfigurer {
  const { loop, probeAll, stateFile } = core;
  const { haproxy, registry, snapshot } = subjects;
  return createReconfigurer({
    current: setup.config,
    path: setup.configPath,
    previous: setup.previousConfigs,
    onChanges(changes, by) {
      const events = toConfigEvents(changes, by, Date.now());
      core.events.accept({ changes: events });
      core.statusView.addChanges(events);
      history.sink.writer.write(events.map(configAuditRecord));
    },
    log: setup.log,
    apply: loop.apply,
    async check(next) {
      setup.checkEnvironment(next);
      await haproxy.check(next);
      registry.checkFile(next);
    },
    activate(next) {
      setup.setConfig(next);
      haproxy.reconfigure(next);
      loop.setPolicies(next.services);
      setup.log.level = next.logging.level;
    },
    onActivated() {
      registry.enforceAddressPolicy();
      probeAll();
      snapshot?.publishNow();
      stateFile.scheduleWrite();
    },
  });
}

type Parts = Stores & Core & Subjects & { reconfigurer: Reconfigurer };

/** Stage 4: HAProxy, the HTTP server, and the timers. */
async function serve(setup: Setup, parts: Parts) {
  const { config, env, version, log } = setup;
  const { loop, leader, history, registry, snapshot } = parts;
  const status = () => agentStatus(setup, parts);
  const app = createApp({
    tokens: env.tokens,
    version,
    context: createApiContext(setup, parts),
    extend(app) {
      registerSessionRoutes(app, { sessions: parts.sessions, instances: loop.instances });
      const { alerts, monitor } = parts.alerting;
      registerSummaryRoutes(app, {
        config,
        summary: monitor.summary,
        figures: monitor.figures,
        firing: alerts.firing,
      });
      registerAlertRoutes(app, {
        alerts,
        rules: () => [...Object.keys(config().monitor.thresholds), ...CONDITION_RULES],
        services: () => Object.keys(config().services),
      });
      registerDashboard(app, { view: parts.statusView, status });
    },
  });
  await parts.haproxy.start();
  const server = await listen(app.fetch, config().agent.bind);
  const maintenance = createMaintenanceSchedule({
    database: history.database,
    config,
    log,
    isLeader: leader.isLeader,
  });
  maintenance.start();
  parts.probeAll();
  let refreshes = 0;
  const stopTimers = [
    every(TICK_MS, () => {
      registry.creditMissedHeartbeats(leader.status().error !== null);
      loop.tick();
      if (parts.instancesWithoutState().length === 0) snapshot?.enable();
    }),
    every(REFRESH_MS, () => loop.refresh(++refreshes % (METRICS_MS / REFRESH_MS) === 0)),
  ];
  loop.refresh(false);
  log.info({ bind: config().agent.bind, instances: loop.instances().size }, 'agent started');
  return { server, maintenance, stopTimers };
}

function agentStatus({ config, version, startedAt }: Setup, parts: Parts): AgentStatus {
  return {
    version,
    site: config().site.id,
    startedAt,
    ready: parts.instancesWithoutState().length === 0,
    leader: parts.leader.status(),
    snapshot: snapshotStatus(parts.snapshot),
    sinks: sinkStatuses(parts.sinks),
    alerts: firingAlerts(parts.alerting.alerts),
  };
}

const sinkStatuses = (sinks: readonly Sink[]) =>
  Object.fromEntries(sinks.map((sink) => [sink.name, sink.status()]));

function createApiContext(setup: Setup, parts: Parts): ApiContext {
  const { config, env, version, startedAt, log } = setup;
  const { loop, leader, metrics, prober, registry, events, snapshot, statusView } = parts;
  const checkEdgeToken = limitTokenChecks(createEdgeTokenVerifier(env.edgeJwtPublicKeys, config().site.id));
  return {
    config,
    instances: loop.instances,
    registry,
    events,
    health: () => ({
      version,
      uptimeSeconds: Math.round((Date.now() - startedAt) / 1000),
      leader: leader.status(),
      probes: prober.stats(),
      sinks: sinkStatuses(parts.sinks),
    }),
    instancesWithoutState: parts.instancesWithoutState,
    metrics: async () => ({
      text: await metrics.render(agentStatus(setup, parts)),
      contentType: metrics.contentType,
    }),
    checkEdgeToken: (token, address) => checkEdgeToken(token, address, Date.now()),
    acceptEdgeReport(report) {
      const figures = parts.reportReader.read(report, Date.now());
      if (!figures) return;
      for (const delta of figures.evidence) loop.apply(delta);
      parts.countRequests(figures.requests, report);
      statusView.edgeReport(report);
      metrics.edgeReport(report);
      parts.edgeWatch.accept(report, Date.now());
    },
    explain: (query) =>
      explain(
        query,
        {
          config: config(),
          instances: loop.instances().values(),
          pins: parts.sessions.snapshotPins(),
          measuredShares: (service, ids) =>
            trafficShares(
              parts.window,
              ids.map((id) => instanceKey(service, id)),
              Date.now() - COUNTER_LAG_MS,
            ),
        },
        Date.now(),
      ),
    reconfigure: (text, options) => {
      const result = parts.reconfigurer.applyText(text, options);
      return options.dryRun ? result : parts.refusedConfig.accepted(result);
    },
    rollBackConfig: (options) => {
      const result = parts.reconfigurer.rollBack(options);
      return options.dryRun ? result : parts.refusedConfig.accepted(result);
    },
    publish() {
      if (!leader.isLeader()) return null;
      snapshot?.publishNow();
      return snapshot?.published().order ?? null;
    },
    audit({ at, actor, action, target }) {
      log.info({ actor, action, target }, 'request');
      const row = { timestamp: at / 1000, actor, action, target, detail: {} };
      parts.history.sink.writer.write([{ table: 'audit_log', row }]);
    },
    log,
    now: Date.now,
  };
}

/** Releases every part in the reverse order of the stages. */
async function close(
  service: Awaited<ReturnType<typeof serve>>,
  subjects: Subjects,
  core: Core,
  stores: Stores,
): Promise<void> {
  for (const stop of service.stopTimers) stop();
  core.prober.close();
  await service.server.close();
  // Deliver the last changes.
  core.loop.refresh(false);
  await stores.leader.close();
  await subjects.replication?.close();
  core.requestSharing?.close();
  await service.maintenance.stop();
  await subjects.alerting.close(CLOSE_TIMEOUT_MS);
  await subjects.sessions.close();
  await Promise.all(subjects.sinks.map((sink) => sink.close(CLOSE_TIMEOUT_MS)));
  await core.stateFile.close();
  await subjects.registry.close();
  await stores.history.close();
  await stores.live.close();
}
