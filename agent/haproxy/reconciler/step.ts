import type { Change } from '../../core/state.ts';
import { recordRequested, startPoll } from './admin-commands.ts';
import { compare } from './compare.ts';
import type { DesiredServers } from './desired.ts';
import { lastingManualAdmins } from './manual-admin.ts';
import type {
  HaproxyCondition,
  HaproxyWorker,
  ReconcilerEffect,
  ReconcilerEvent,
  ReconcilerRound,
  ReconcilerState,
  ReconcilerStep,
} from './state.ts';

/*
 * The rounds of one HAProxy as a state machine. A round polls HAProxy, compares it with the desired servers, and sends
 * the commands that remove the difference. If commands are not enough, it reloads HAProxy. The driver (reconciler.ts)
 * performs the effects and reports each result as the next event.
 *
 *   waiting ──round-due──▶ polling ──polled──▶ applying ──applied──▶ waiting
 *                                                  └─▶ requesting-reload ──reload-requested──▶ polling …
 */

const INTERVAL_MS = 1_000;
/** Requests that hang are noticed sooner. A poll of this many servers takes a few milliseconds; an instance has two. */
const WATCH_INTERVAL_MS = 250;
const MAX_WATCHED_SERVERS = 400;
const MAX_BACKOFF_MS = 5_000;
const RELOAD_POLL_MS = 50;
const RELOAD_TIMEOUT_MS = 15_000;
/** A reload that did not help is not repeated for the same reason before this time. */
const RELOAD_PAUSE_MS = 30_000;

/** `now` is a monotonic clock in milliseconds. */
export function step(state: ReconcilerState, event: ReconcilerEvent, now: number): ReconcilerStep {
  const { phase, condition } = state;
  const ignored = { state, effects: [] };
  switch (event.type) {
    case 'desired-changed':
      return updateDesired(state, event.desired, event.changes);
    case 'reconfigured':
      return runSoon(state);
    case 'round-due':
      return phase.name === 'waiting' ? startRound(state) : ignored;
    case 'polled':
      return compare(state, event.poll, now);
    case 'applied':
      return phase.name === 'applying' ? finishRound(state, phase.round, event, now) : ignored;
    case 'unreachable':
      return condition.name === 'reloading'
        ? awaitWorker(state, condition, null, now)
        : endRound(state, { name: 'disconnected' }, [event.problem], now);
    case 'reload-requested':
      return phase.name === 'requesting-reload' ? startReload(state, phase.from, now) : ignored;
    case 'reload-failed':
      return endReload(state, { name: 'syncing' }, event.problem, now);
  }
}

function updateDesired(
  before: ReconcilerState,
  desired: DesiredServers,
  changes: readonly Change[],
): ReconcilerStep {
  const state = { ...before, desired, requested: recordRequested(before.requested, desired, changes) };
  return before.desired === null || changes.length > 0 ? runSoon(state) : { state, effects: [] };
}

function runSoon(state: ReconcilerState): ReconcilerStep {
  if (state.desired === null) return { state, effects: [] };
  const canStart = state.phase.name === 'waiting' && state.condition.name !== 'reloading';
  return canStart ? startRound(state) : { state: { ...state, runAgain: true }, effects: [] };
}

/** During a reload the agent writes no files, because the new worker still reads them. */
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
  if (state.role === 'shared') return endRound(state, condition, errors, now);
  const fileErrors = [round.fileError, saveError].filter((error) => error !== null);
  if (fileErrors.length > 0) return endRound(state, { name: 'syncing' }, [...fileErrors, ...errors], now);
  const saved = { ...state, savedSettings: round.settings };
  // The next round writes the newer files; a reload now would load the old ones.
  if (files.stale) return endRound(saved, { name: 'syncing' }, errors, now);
  const needsReload = round.changed.length > 0 || results.some((result) => result.needsReload);
  if (round.worker.description === files.fingerprint && !needsReload) {
    return endRound({ ...saved, lastReload: withoutProblem(state.lastReload) }, condition, errors, now);
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
    const problems = last.problem ? [last.problem, ...errors] : errors;
    return endRound(state, { name: 'syncing' }, problems, now);
  }
  return {
    state: {
      ...state,
      phase: { name: 'requesting-reload', from: round.worker },
      lastReload: { at: now, reason, problem: null },
    },
    effects: [{ type: 'reload', stateFile: round.stateFile }],
  };
}

function startReload(state: ReconcilerState, from: HaproxyWorker, now: number): ReconcilerStep {
  return startRound({ ...state, condition: { name: 'reloading', from, deadline: now + RELOAD_TIMEOUT_MS } });
}

/** Polls until another worker answers. `worker` is the one that answered now; null: none did. */
function awaitWorker(
  state: ReconcilerState,
  { from, deadline }: Extract<HaproxyCondition, { name: 'reloading' }>,
  worker: HaproxyWorker | null,
  now: number,
): ReconcilerStep {
  if (worker && worker.pid !== from.pid) {
    const { state: next, effects } = endReload(state, { name: 'syncing' }, null, now);
    return { state: next, effects: [{ type: 'report-reload', from: from.description }, ...effects] };
  }
  if (now < deadline) {
    return {
      state: { ...state, phase: { name: 'waiting' } },
      effects: [{ type: 'schedule', delayMs: RELOAD_POLL_MS }],
    };
  }
  const condition: HaproxyCondition = worker ? { name: 'syncing' } : { name: 'disconnected' };
  return endReload(state, condition, `no new worker within ${RELOAD_TIMEOUT_MS / 1000} s`, now);
}

function endReload(
  state: ReconcilerState,
  condition: HaproxyCondition,
  problem: string | null,
  now: number,
): ReconcilerStep {
  if (problem === null) return endRound(state, condition, [], now);
  const text = `reload: ${problem}`;
  const lastReload = state.lastReload && { ...state.lastReload, problem: text };
  return endRound({ ...state, lastReload }, condition, [text], now);
}

const withoutProblem = (last: ReconcilerState['lastReload']) => last && { ...last, problem: null };

/** Reports the round and starts or schedules the next one. */
function endRound(
  before: ReconcilerState,
  condition: HaproxyCondition,
  problems: readonly string[],
  now: number,
): ReconcilerStep {
  const failures = problems.length > 0 ? before.failures + 1 : 0;
  const state: ReconcilerState = { ...before, condition, problems, failures, phase: { name: 'waiting' } };
  // The admin states of a HAProxy that does not answer are unknown.
  const manual = condition.name === 'disconnected' ? [] : lastingManualAdmins(state.manual, now);
  const report: ReconcilerEffect = { type: 'report-round', problems, manual };
  if (state.runAgain) {
    const next = startRound(state);
    return { state: next.state, effects: [report, ...next.effects] };
  }
  return { state, effects: [report, { type: 'schedule', delayMs: roundDelay(state) }] };
}

function roundDelay({ failures, role, desired }: ReconcilerState): number {
  if (failures === 0) return (desired?.size ?? 0) <= MAX_WATCHED_SERVERS ? WATCH_INTERVAL_MS : INTERVAL_MS;
  return role === 'own' ? Math.min(INTERVAL_MS * 2 ** (failures - 1), MAX_BACKOFF_MS) : INTERVAL_MS;
}
