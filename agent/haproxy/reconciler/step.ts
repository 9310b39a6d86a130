import { type AdminState, type Change, instanceKey, type TrafficDelta } from '../../core/state.ts';
import type { RenderInstance } from '../render/input.ts';
import type { ServerStat } from '../socket/parse.ts';
import {
  type CounterBaseline,
  type CounterDeltas,
  computeCounterDeltas,
} from '../telemetry/counter-deltas.ts';
import type { ActionResult } from './actions.ts';
import {
  finishPoll,
  NOTHING_REQUESTED,
  type RequestedAdmin,
  recordRequested,
  startPoll,
  wasRequested,
} from './admin-commands.ts';
import { applyCommandBackoff, type CommandHistory } from './command-backoff.ts';
import type { DesiredServers } from './desired.ts';
import {
  type ActualServers,
  adminStatesInPlace,
  diffServers,
  reloadOnlySettings,
  type ServerAction,
} from './diff.ts';

/*
 * The rounds of one HAProxy as a state machine. A round polls HAProxy, compares it with the desired servers, and sends
 * the commands that remove the difference. If commands are not enough, it reloads HAProxy. The driver (reconciler.ts)
 * performs the effects and reports each result as the next event.
 *
 *   waiting ──round-due──▶ polling ──polled──▶ applying ──applied──▶ waiting
 *                                                  └─▶ requesting-reload ──reload-requested──▶ polling …
 */

/**
 * What the last round found.
 *
 * - `disconnected`: HAProxy did not answer, or was not polled yet
 * - `syncing`: HAProxy answers, but the round sent commands or met errors
 * - `steady`: HAProxy has the desired state
 * - `reloading`: a reload was requested, and the new worker does not answer yet
 */
export type HaproxyCondition =
  | { name: 'disconnected' }
  | { name: 'syncing' }
  | { name: 'steady' }
  | { name: 'reloading'; from: HaproxyWorker; deadline: number };

/** The operation whose result the machine waits for. */
export type ReconcilerPhase =
  | { name: 'waiting' }
  | { name: 'polling' }
  | { name: 'applying'; round: ReconcilerRound }
  | { name: 'requesting-reload'; from: HaproxyWorker };

export interface HaproxyWorker {
  pid: number;
  /** The fingerprint of the files that the worker was started with. */
  description: string;
}

/** What a round needs to know of its poll when the commands are done. */
interface ReconcilerRound {
  worker: HaproxyWorker;
  serverStates: string;
  /** Admin states, weights and addresses: when they change, the state file is written. */
  settings: string;
  fileError: string | null;
  actionCount: number;
  /** Servers that were registered again with settings that only a reload changes. */
  changed: string[];
}

export interface ReconcilerState {
  /** `own`: this agent writes the files and reloads. `shared`: a HAProxy with its own agent; only commands are sent. */
  role: 'own' | 'shared';
  condition: HaproxyCondition;
  phase: ReconcilerPhase;
  /** Null until the first update. */
  desired: DesiredServers | null;
  /** Something changed during the round: start the next one at once. */
  runAgain: boolean;
  /** The errors of the last round, for status and log. */
  problems: readonly string[];
  /** Consecutive rounds with problems. */
  failures: number;
  requested: RequestedAdmin;
  /** Admin states that this agent set, by server. */
  ownAdmin: ReadonlyMap<string, AdminState>;
  commandHistory: CommandHistory;
  counters: CounterBaseline | null;
  /** The reload-only settings that the current worker has, by server. */
  loadedSettings: ReadonlyMap<string, string>;
  /** `ReconcilerRound.settings` in the state file. */
  savedSettings: string;
  lastReload: { at: number; reason: string; problem: string | null } | null;
}

/** One poll of HAProxy, and the files as they were at that time. */
export interface HaproxyPoll extends HaproxyWorker {
  /** Epoch milliseconds. */
  at: number;
  stats: readonly ServerStat[];
  actual: ActualServers;
  /** The response to `show servers state`. */
  serverStates: string;
  /** The servers in the files; empty for a shared HAProxy. */
  writtenServers: readonly RenderInstance[];
  fileError: string | null;
}

/** The state of the files after the commands. */
export interface RenderedFileStatus {
  stale: boolean;
  fingerprint: string;
}

export type ReconcilerEvent =
  | { type: 'desired-changed'; desired: DesiredServers; changes: readonly Change[] }
  | { type: 'reconfigured' }
  | { type: 'round-due' }
  | { type: 'polled'; poll: HaproxyPoll }
  | { type: 'applied'; results: readonly ActionResult[]; saveError: string | null; files: RenderedFileStatus }
  /** HAProxy did not answer a poll or a command. */
  | { type: 'unreachable'; problem: string }
  | { type: 'reload-requested' }
  | { type: 'reload-failed'; problem: string };

export type ReconcilerEffect =
  /** `newConnection`: after a reload the open connection still belongs to the old worker. */
  | { type: 'poll'; writeFiles: boolean; newConnection: boolean }
  | { type: 'apply'; actions: readonly ServerAction[]; count: number; saveStates: string | null }
  | { type: 'reload'; serverStates: string }
  | { type: 'schedule'; delayMs: number }
  | { type: 'record-traffic'; deltas: TrafficDelta[] }
  | { type: 'report-connect-failures'; servers: readonly { service: string; instance: string }[] }
  | { type: 'report-round'; problems: readonly string[] }
  | { type: 'report-reload'; from: string };

export interface ReconcilerStep {
  state: ReconcilerState;
  effects: ReconcilerEffect[];
}

const INTERVAL_MS = 1_000;
const MAX_BACKOFF_MS = 5_000;
const RELOAD_POLL_MS = 50;
const RELOAD_TIMEOUT_MS = 15_000;
/** A reload that did not help is not repeated for the same reason before this time. */
const RELOAD_PAUSE_MS = 30_000;

export function initialState(role: ReconcilerState['role']): ReconcilerState {
  return {
    role,
    condition: { name: 'disconnected' },
    phase: { name: 'waiting' },
    desired: null,
    runAgain: false,
    problems: [],
    failures: 0,
    requested: NOTHING_REQUESTED,
    ownAdmin: new Map(),
    commandHistory: new Map(),
    counters: null,
    loadedSettings: new Map(),
    savedSettings: '',
    lastReload: null,
  };
}

/** `now` is a monotonic clock in milliseconds. */
export function step(state: ReconcilerState, event: ReconcilerEvent, now: number): ReconcilerStep {
  switch (event.type) {
    case 'desired-changed': {
      const { desired, changes } = event;
      const requested = recordRequested(state.requested, desired, changes);
      const next = { ...state, desired, requested };
      return state.desired === null || changes.length > 0 ? runSoon(next) : { state: next, effects: [] };
    }
    case 'reconfigured':
      return runSoon(state);
    case 'round-due':
      return state.phase.name === 'waiting' ? startRound(state) : { state, effects: [] };
    case 'polled':
      return compare(state, event.poll, now);
    case 'applied':
      return state.phase.name === 'applying'
        ? finishRound(state, state.phase.round, event, now)
        : { state, effects: [] };
    case 'unreachable':
      return state.condition.name === 'reloading'
        ? awaitWorker(state, state.condition, null, now)
        : endRound(state, { name: 'disconnected' }, [event.problem]);
    case 'reload-requested':
      return state.phase.name === 'requesting-reload'
        ? startRound({
            ...state,
            condition: { name: 'reloading', from: state.phase.from, deadline: now + RELOAD_TIMEOUT_MS },
          })
        : { state, effects: [] };
    case 'reload-failed':
      return endReload(state, { name: 'syncing' }, event.problem);
  }
}

function runSoon(state: ReconcilerState): ReconcilerStep {
  if (state.desired === null) return { state, effects: [] };
  const canStart = state.phase.name === 'waiting' && state.condition.name !== 'reloading';
  return canStart ? startRound(state) : { state: { ...state, runAgain: true }, effects: [] };
}

/** While a reload runs the files stay as the new worker reads them. */
function startRound(state: ReconcilerState): ReconcilerStep {
  const reloading = state.condition.name === 'reloading';
  return {
    state: {
      ...state,
      phase: { name: 'polling' },
      runAgain: reloading && state.runAgain,
      requested: startPoll(state.requested),
    },
    effects: [{ type: 'poll', writeFiles: state.role === 'own' && !reloading, newConnection: reloading }],
  };
}

/** Records what HAProxy counted and sends the commands that it needs. */
function compare(state: ReconcilerState, poll: HaproxyPoll, now: number): ReconcilerStep {
  const desired = state.desired ?? new Map();
  const current = state.counters?.pid === poll.pid ? state : forNewWorker(state, poll);
  const traffic = computeCounterDeltas(state.counters, poll.pid, poll.stats, poll.at);
  const ownAdmin = claimAdminStates(current, desired, poll.actual);
  const diff = diffServers(desired, poll.actual, ownAdmin);
  const backoff =
    state.role === 'shared'
      ? applyCommandBackoff(current.commandHistory, diff, actionText, now)
      : { allowed: diff, history: current.commandHistory };
  const loaded = compareLoadedSettings(current.loadedSettings, desired, poll.actual);
  const settings = settingsText(poll.actual);
  const reloading = state.condition.name === 'reloading';
  const save = state.role === 'own' && !reloading && settings !== state.savedSettings;
  const round: ReconcilerRound = {
    worker: { pid: poll.pid, description: poll.description },
    serverStates: poll.serverStates,
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
      ownAdmin: withSentAdmin(ownAdmin, backoff.allowed),
      commandHistory: backoff.history,
      loadedSettings: loaded.settings,
    },
    effects: [
      ...reportTraffic(traffic),
      {
        type: 'apply',
        actions: backoff.allowed,
        count: desired.size,
        saveStates: save ? poll.serverStates : null,
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
  actual: ActualServers,
): Map<string, AdminState> {
  const ownAdmin = new Map([...state.ownAdmin, ...adminStatesInPlace(desired, actual)]);
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
    if (action.type === 'add') continue;
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

function finishRound(
  before: ReconcilerState,
  round: ReconcilerRound,
  { results, saveError, files }: Extract<ReconcilerEvent, { type: 'applied' }>,
  now: number,
): ReconcilerStep {
  const removed = results.filter((result) => result.removed).map(({ server }) => server);
  const ownAdmin = new Map(before.ownAdmin);
  for (const server of removed) ownAdmin.delete(server);
  const state = { ...before, ownAdmin };
  if (state.condition.name === 'reloading') return awaitWorker(state, state.condition, round.worker, now);

  const errors = results.flatMap((result) => result.errors);
  const condition: HaproxyCondition =
    round.actionCount + errors.length > 0 ? { name: 'syncing' } : { name: 'steady' };
  if (state.role === 'shared') return endRound(state, condition, errors);
  const fileErrors = [round.fileError, saveError].filter((error) => error !== null);
  if (fileErrors.length > 0) return endRound(state, { name: 'syncing' }, [...fileErrors, ...errors]);
  const saved = { ...state, savedSettings: round.settings };
  // The next round writes the newer files; a reload now would load the old ones.
  if (files.stale) return endRound(saved, { name: 'syncing' }, errors);
  const needsReload = round.changed.length > 0 || results.some((result) => result.needsReload);
  if (round.worker.description === files.fingerprint && !needsReload) {
    return endRound({ ...saved, lastReload: withoutProblem(state.lastReload) }, condition, errors);
  }
  const reason = [files.fingerprint, ...round.changed, ...errors].join('; ');
  return reload(saved, { round, reason, errors }, now);
}

/** Reloads, unless the last reload for the same reason was a short time ago. */
function reload(
  state: ReconcilerState,
  { round, reason, errors }: { round: ReconcilerRound; reason: string; errors: string[] },
  now: number,
): ReconcilerStep {
  const last = state.lastReload;
  if (last?.reason === reason && now - last.at < RELOAD_PAUSE_MS) {
    return endRound(state, { name: 'syncing' }, last.problem ? [last.problem, ...errors] : errors);
  }
  return {
    state: {
      ...state,
      phase: { name: 'requesting-reload', from: round.worker },
      lastReload: { at: now, reason, problem: null },
    },
    effects: [{ type: 'reload', serverStates: round.serverStates }],
  };
}

/** Polls until another worker answers. `worker` is the one that answered now; null: none did. */
function awaitWorker(
  state: ReconcilerState,
  { from, deadline }: Extract<HaproxyCondition, { name: 'reloading' }>,
  worker: HaproxyWorker | null,
  now: number,
): ReconcilerStep {
  if (worker && worker.pid !== from.pid) {
    const { state: next, effects } = endReload(state, { name: 'syncing' }, null);
    return { state: next, effects: [{ type: 'report-reload', from: from.description }, ...effects] };
  }
  if (now < deadline) {
    return {
      state: { ...state, phase: { name: 'waiting' } },
      effects: [{ type: 'schedule', delayMs: RELOAD_POLL_MS }],
    };
  }
  const condition: HaproxyCondition = worker ? { name: 'syncing' } : { name: 'disconnected' };
  return endReload(state, condition, `no new worker within ${RELOAD_TIMEOUT_MS / 1000} s`);
}

function endReload(
  state: ReconcilerState,
  condition: HaproxyCondition,
  problem: string | null,
): ReconcilerStep {
  if (problem === null) return endRound(state, condition, []);
  const text = `reload: ${problem}`;
  const lastReload = state.lastReload && { ...state.lastReload, problem: text };
  return endRound({ ...state, lastReload }, condition, [text]);
}

const withoutProblem = (last: ReconcilerState['lastReload']) => last && { ...last, problem: null };

/** Reports the round and starts or schedules the next one. */
function endRound(
  before: ReconcilerState,
  condition: HaproxyCondition,
  problems: readonly string[],
): ReconcilerStep {
  const failures = problems.length > 0 ? before.failures + 1 : 0;
  const state: ReconcilerState = { ...before, condition, problems, failures, phase: { name: 'waiting' } };
  const report: ReconcilerEffect = { type: 'report-round', problems };
  if (state.runAgain) {
    const next = startRound(state);
    return { state: next.state, effects: [report, ...next.effects] };
  }
  const backoff = Math.min(INTERVAL_MS * 2 ** Math.max(0, failures - 1), MAX_BACKOFF_MS);
  const delayMs = state.role === 'own' ? backoff : INTERVAL_MS;
  return { state, effects: [report, { type: 'schedule', delayMs }] };
}

/** The key of the command backoff. */
function actionText(action: ServerAction): string {
  switch (action.type) {
    case 'add':
      return `add ${action.desired.service}/${action.desired.instance}`;
    case 'remove':
      return `remove ${action.service}/${action.instance}`;
    case 'set':
      return action.commands.join();
  }
}

const settingsText = (actual: ActualServers): string =>
  [...actual].map(([key, { admin, weight, address }]) => `${key} ${admin} ${weight} ${address}`).join('\n');
