import { randomBytes } from 'node:crypto';
import { startAlerting } from '../alerting/open.ts';
import type { Sink } from '../core/sink.ts';
import { instanceKey } from '../core/state.ts';
import { type Discovery, startDiscovery } from '../discovery/discovery.ts';
import { createHaproxySink } from '../haproxy/sink.ts';
import { changeRecords } from '../history/records.ts';
import { withStatementTimeout } from '../history/sql/database.ts';
import { createMessageSigner } from '../lib/message-signer.ts';
import { createSignal } from '../lib/signal.ts';
import { TTL_SECONDS } from '../live/keys.ts';
import { createLiveSink } from '../live/sink.ts';
import { openRegistry } from '../registry/registry.ts';
import { startReplication } from '../registry/replication.ts';
import { createSignedIntents, INTENT_MAX_AGE_MS } from '../registry/signed-intents.ts';
import { createSessions } from '../sessions/sessions.ts';
import { createSessionStore } from '../sessions/store.ts';
import { openSnapshotSink } from '../snapshot/open.ts';
import type { Core } from './core.ts';
import { showChanges } from './history-api.ts';
import { createPlatformFacts } from './platform-facts.ts';
import { sharesIntents } from './request-counting.ts';
import { logError, type Setup } from './setup.ts';
import type { Stores } from './stores.ts';

/** A session request fails after this time if the database does not answer. */
const SESSION_QUERY_TIMEOUT_MS = 5_000;

export type Subjects = Awaited<ReturnType<typeof attachSinks>>;

/** Stage 3: everything that acts on updates of the loop, and the registrations that restart with it. */
export async function attachSinks(setup: Setup, stores: Stores, core: Core) {
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
  const haproxy = createAgentHaproxySink(setup, stores, core);
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
  const discovery = attachDiscovery(setup, stores, core, registry);
  const alerting = startAlerting({
    config,
    env,
    history,
    window,
    instances,
    platform: createPlatformFacts(setup, stores, core, { sinks, snapshot, discovery }),
    stateDir,
    log,
    isLeader,
  });
  leader.start({
    hub: snapshot ?? undefined,
    onChange: (leading) => leading && snapshot?.claimEpoch(),
  });
  return { sessions, alerting, snapshot, haproxy, sinks, discovery, ...registry };
}

function createAgentHaproxySink({ config, env, log }: Setup, { history }: Stores, core: Core) {
  const { loop, prober, countRequests, tracing } = core;
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
    onManualAdmin(change) {
      log.warn(change, 'admin state set in HAProxy, not through the agent');
      showChanges(core, [change]);
      history.sink.writer.write(changeRecords(change, undefined));
    },
    onLogLine: (line, fields) => tracing.addLine(line, fields, Date.now()),
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

type AttachedRegistry = Awaited<ReturnType<typeof attachRegistry>>;

/** Without replication every agent reads the sources itself; ids come from the addresses, so they agree. */
function attachDiscovery(
  { config, env }: Setup,
  { leader, history }: Stores,
  core: Core,
  { registry, replication }: AttachedRegistry,
): Discovery {
  return startDiscovery({
    config,
    view: () => ({ intents: registry.intents(), instances: core.loop.instances() }),
    isReading: () => replication === null || leader.isLeader(),
    variable: env.variable,
    apply: registry.discover,
    onEvent(change) {
      showChanges(core, [change]);
      history.sink.writer.write(changeRecords(change, undefined));
    },
  });
}
