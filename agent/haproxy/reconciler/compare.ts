import { type AdminState, instanceKey } from '../../core/state.ts';
import { isLongLivedBackend } from '../long-lived.ts';
import { stateFileText } from '../render/state-file.ts';
import { type CounterDeltas, computeCounterDeltas } from '../telemetry/counter-deltas.ts';
import { finishPoll, wasRequested } from './admin-commands.ts';
import { applyCommandBackoff } from './command-backoff.ts';
import type { DesiredServers } from './desired.ts';
import {
  type ActualServers,
  adminStatesInPlace,
  closeLongLived,
  diffServers,
  reloadOnlySettings,
  type ServerAction,
} from './diff.ts';
import { findManualAdmins } from './manual-admin.ts';
import type {
  HaproxyPoll,
  ReconcilerEffect,
  ReconcilerRound,
  ReconcilerState,
  ReconcilerStep,
} from './state.ts';

/** Records what HAProxy counted and sends the commands that it needs. */
export function compare(state: ReconcilerState, poll: HaproxyPoll, now: number): ReconcilerStep {
  const desired = state.desired ?? new Map();
  const current = state.counters?.pid === poll.pid ? state : forNewWorker(state, poll);
  const traffic = computeCounterDeltas(state.counters, poll);
  const ownAdmin = claimAdminStates(current, desired, poll);
  const wanted = rememberWanted(state.wanted, desired, poll.actual);
  const diff = diffServers(desired, poll.actual, ownAdmin).filter(
    (action) =>
      state.role === 'own' || !(isForeignRemoval(action, wanted) || lacksBackend(action, poll.actual)),
  );
  const closing = state.role === 'own' ? closeLongLived(desired, poll.stats) : [];
  const backoff =
    state.role === 'shared'
      ? applyCommandBackoff(current.commandHistory, diff, actionText, now)
      : { allowed: [...diff, ...closing], history: current.commandHistory };
  const loaded = compareLoadedSettings(current.loadedSettings, desired, poll.actual);
  const sentAdmin = withSentAdmin(ownAdmin, backoff.allowed);
  const stateFile = stateFileText(poll.serverStates, sentAdmin);
  const settings = settingsText(poll.actual, sentAdmin);
  const reloading = state.condition.name === 'reloading';
  const save = state.role === 'own' && !reloading && settings !== state.savedSettings;
  const round: ReconcilerRound = {
    worker: { pid: poll.pid, description: poll.description },
    stateFile,
    settings,
    fileError: poll.fileError,
    actionCount: backoff.allowed.length,
    changed: loaded.changed,
  };
  return {
    state: {
      ...current,
      phase: { name: 'applying', round },
      counters: traffic.baseline,
      requested: finishPoll(state.requested),
      wanted,
      ownAdmin: sentAdmin,
      manual: findManualAdmins(state.manual, { desired, actual: poll.actual, ownAdmin }, now),
      commandHistory: backoff.history,
      loadedSettings: loaded.settings,
    },
    effects: [
      ...reportTraffic(traffic),
      {
        type: 'apply',
        actions: backoff.allowed,
        count: instanceCount(desired),
        saveStateFile: save ? stateFile : null,
      },
    ],
  };
}

function reportTraffic({ deltas, connectFailures }: CounterDeltas): ReconcilerEffect[] {
  const effects: ReconcilerEffect[] = [];
  if (deltas.length > 0) effects.push({ type: 'record-traffic', deltas });
  if (connectFailures.length > 0) effects.push({ type: 'report-connect-failures', servers: connectFailures });
  return effects;
}

/** The servers that this agent has wanted since it started and that HAProxy may still have. */
const rememberWanted = (
  before: ReadonlySet<string>,
  desired: DesiredServers,
  actual: ActualServers,
): Set<string> => new Set([...desired.keys(), ...[...before].filter((key) => actual.has(key))]);

/** The server belongs to another agent: it was registered there, and this agent has not learned of it. */
const isForeignRemoval = (action: ServerAction, wanted: ReadonlySet<string>): boolean =>
  action.type === 'remove' && !wanted.has(instanceKey(action.service, action.instance));

/** Every instance has two servers. */
const instanceCount = (desired: DesiredServers): number => desired.size / 2;

/** A HAProxy of an older version has no backends for long-lived connections. */
const lacksBackend = (action: ServerAction, actual: ActualServers): boolean =>
  action.type === 'add' &&
  isLongLivedBackend(action.desired.service) &&
  !actual.values().some(({ service }) => service === action.desired.service);

/** A new worker has each server as in its files, whatever is desired by now. */
const forNewWorker = (state: ReconcilerState, poll: HaproxyPoll): ReconcilerState => ({
  ...state,
  commandHistory: new Map(),
  loadedSettings: new Map(
    poll.writtenServers.map((server) => [instanceKey(server.service, server.id), reloadOnlySettings(server)]),
  ),
});

/** Which of HAProxy's admin states count as set by the agent; any other one is a manual socket command. */
function claimAdminStates(
  state: ReconcilerState,
  desired: DesiredServers,
  { actual, recordedAdmin }: HaproxyPoll,
): Map<string, AdminState> {
  const ownAdmin = new Map([...state.ownAdmin, ...recordedAdmin, ...adminStatesInPlace(desired, actual)]);
  for (const [key, { admin }] of actual) {
    if (wasRequested(state.requested, key, admin)) ownAdmin.set(key, admin);
    // The server is ready as desired, so the next drain or maint may be a manual command.
    if (admin === 'ready' && desired.get(key)?.admin === 'ready') ownAdmin.delete(key);
  }
  return ownAdmin;
}

/** Recorded before the commands are sent: HAProxy may apply a command whose response is lost. */
function withSentAdmin(
  before: ReadonlyMap<string, AdminState>,
  actions: readonly ServerAction[],
): Map<string, AdminState> {
  const ownAdmin = new Map(before);
  for (const action of actions) {
    if (action.type === 'add' || action.type === 'close') continue;
    const admin = action.type === 'remove' ? 'maint' : action.admin;
    if (admin && admin !== 'ready') ownAdmin.set(instanceKey(action.service, action.instance), admin);
  }
  return ownAdmin;
}

/** Finds servers that were removed and registered again with other settings before HAProxy could delete them. */
function compareLoadedSettings(
  loaded: ReadonlyMap<string, string>,
  desired: DesiredServers,
  actual: ActualServers,
): { settings: Map<string, string>; changed: string[] } {
  const settings = new Map([...loaded].filter(([key]) => actual.has(key)));
  const changed: string[] = [];
  for (const [key, want] of desired) {
    if (!actual.has(key)) continue;
    const wanted = reloadOnlySettings(want);
    const current = settings.get(key) ?? wanted;
    settings.set(key, current);
    if (current !== wanted) changed.push(`${key} ${wanted}`);
  }
  return { settings, changed };
}

/** The key of the command backoff. */
function actionText(action: ServerAction): string {
  switch (action.type) {
    case 'add':
      return `add ${action.desired.service}/${action.desired.instance}`;
    case 'remove':
      return `remove ${action.service}/${action.instance}`;
    case 'close':
      return `close ${action.service}/${action.instance}`;
    case 'set':
      return action.commands.join();
  }
}

const settingsText = (actual: ActualServers, ownAdmin: ReadonlyMap<string, AdminState>): string =>
  [...actual]
    .map(([key, { admin, weight, address }]) =>
      [key, admin, ownAdmin.get(key) ?? '', weight, address].join(' '),
    )
    .join('\n');
