import type { AdminState, Change, TrafficDelta } from '../../core/state.ts';
import type { RenderInstance } from '../render/input.ts';
import type { ServerStat } from '../socket/parse.ts';
import type { CounterBaseline } from '../telemetry/counter-deltas.ts';
import type { ActionResult } from './actions.ts';
import { NOTHING_REQUESTED, type RequestedAdmin } from './admin-commands.ts';
import type { CommandHistory } from './command-backoff.ts';
import type { DesiredServers } from './desired.ts';
import type { ActualServers, ServerAction } from './diff.ts';
import type { ManualAdmin, ManualAdmins } from './manual-admin.ts';

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

/** The part of the poll that a round needs after its commands. */
export interface ReconcilerRound {
  worker: HaproxyWorker;
  /** The state file. */
  stateFile: string;
  /** Admin states, who set them, weights and addresses: when they change, the state file is written. */
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
  /** Servers that this agent has wanted since it started. A shared HAProxy keeps all others. */
  wanted: ReadonlySet<string>;
  /** Admin states that this agent set, by server. */
  ownAdmin: ReadonlyMap<string, AdminState>;
  manual: ManualAdmins;
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
  /** Malformed requests since the last poll, by `backend/server`; empty for a shared HAProxy, which has its own log. */
  malformed: ReadonlyMap<string, number>;
  /** HAProxy has reached a limit of its own, such as that of open files. */
  isShort: boolean;
  actual: ActualServers;
  /** The response to `show servers state`. */
  serverStates: string;
  /** The admin states that the agent set, as in the state file; empty unless HAProxy may have loaded it since the last poll. */
  recordedAdmin: ReadonlyMap<string, AdminState>;
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
  | { type: 'apply'; actions: readonly ServerAction[]; count: number; saveStateFile: string | null }
  | { type: 'reload'; stateFile: string }
  | { type: 'schedule'; delayMs: number }
  | { type: 'record-traffic'; deltas: TrafficDelta[] }
  | { type: 'report-connect-failures'; servers: readonly { service: string; instance: string }[] }
  | { type: 'report-round'; problems: readonly string[]; manual: readonly ManualAdmin[] }
  | { type: 'report-reload'; from: string };

export interface ReconcilerStep {
  state: ReconcilerState;
  effects: ReconcilerEffect[];
}

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
    wanted: new Set(),
    ownAdmin: new Map(),
    manual: new Map(),
    commandHistory: new Map(),
    counters: null,
    loadedSettings: new Map(),
    savedSettings: '',
    lastReload: null,
  };
}
