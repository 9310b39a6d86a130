import { isLastServing, isServingState } from '../../../shared/serving.ts';
import type { AdminState } from '../../core/state.ts';
import type { ApiInstance } from '../../http/schemas/instances.ts';
import { CommandFailed } from '../errors.ts';
import { type DrainWatch, drainText, waitForDrain, waitUntilHealthy, waitUntilSettled } from './wait.ts';

/** A rollout that can be resumed, as saved on disk. */
export interface RolloutRecord {
  service: string;
  command: readonly string[];
  /** Instances that run the new build and have settled. */
  done: string[];
  /** Instances that are taken out, or where the rollout stopped. A resumed rollout begins with them. */
  current: string[];
  /** Of these, the instances whose command has begun: they may run a broken build. */
  changed: string[];
}

/** A rollout that starts over begins with what the earlier one left out: it may run a broken build. */
export const newRecord = (
  service: string,
  command: readonly string[],
  earlier?: RolloutRecord | null,
): RolloutRecord => ({
  service,
  command,
  done: [],
  current: [...(earlier?.current ?? [])],
  changed: [...(earlier?.changed ?? [])],
});

export interface RolloutSettings {
  /** How many instances may be out at the same time. */
  maxUnavailable: number;
  /** First for sessions to end while the instance drains, then for its requests to end in maintenance. */
  deadlineMs: number;
  healthyWithinMs: number;
  settleMs: number;
  /** Run the command although requests are left at the deadline. */
  cutRemaining: boolean;
}

export interface RolloutIo {
  instances(): Promise<readonly ApiInstance[]>;
  /** Null: the agent controls HAProxy; else why not. */
  uncontrolled(): Promise<string | null>;
  setAdmin(id: string, state: AdminState): Promise<void>;
  /** Runs the command for one instance. Null: success; else how it failed. */
  run(instance: ApiInstance): Promise<string | null>;
  save(record: RolloutRecord): Promise<void>;
  /** Reports one step. */
  step(id: string, text: string): void;
  /** Shows the progress of the current step. */
  progress(id: string, text: string): void;
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export interface RolloutEnd {
  done: string[];
  /** Instances that an operator had taken out before. */
  skipped: string[];
  failure: RolloutFailure | null;
}

export interface RolloutFailure {
  instance: string;
  reason: string;
}

interface Rollout {
  io: RolloutIo;
  settings: RolloutSettings;
  record: RolloutRecord;
  signal: AbortSignal;
}

/**
 * One batch of instances after another. Stops at the first failure: instances whose command has begun stay out, the others
 * get ready again.
 */
export async function runRollout(rollout: Rollout): Promise<RolloutEnd> {
  const { io, settings, record } = rollout;
  for (;;) {
    const instances = await io.instances();
    const pending = pendingInstances(instances, record);
    const batch = pending.slice(0, settings.maxUnavailable);
    const failure = batch.length > 0 ? await rollBatch(rollout, batch) : null;
    if (batch.length > 0 && !failure) continue;
    const skipped = instances
      .filter(({ id, admin }) => admin !== 'ready' && !record.done.includes(id))
      .map(({ id }) => id)
      .filter((id) => !record.current.includes(id));
    return { done: record.done, skipped, failure };
  }
}

/** Those where an earlier run stopped come first. What an operator has taken out is left alone. */
function pendingInstances(instances: readonly ApiInstance[], { done, current }: RolloutRecord) {
  const open = instances.filter(({ id }) => !done.includes(id));
  const stopped = open.filter(({ id }) => current.includes(id));
  return [...stopped, ...open.filter(({ id, admin }) => admin === 'ready' && !current.includes(id))];
}

async function rollBatch(rollout: Rollout, batch: readonly ApiInstance[]): Promise<RolloutFailure | null> {
  const { io, record } = rollout;
  const failures: RolloutFailure[] = [];
  const stopOthers = new AbortController();
  const signal = AbortSignal.any([rollout.signal, stopOthers.signal]);
  const fail = (instance: string, error: unknown): void => {
    failures.push({ instance, reason: rollout.signal.aborted ? 'interrupted' : messageOf(error) });
    stopOthers.abort(new Error(`stopped, because ${instance} failed`));
  };
  const taken: ApiInstance[] = [];
  try {
    // One after another, so that each sees that the one before serves no longer.
    for (const { id } of batch) {
      const instance = await takeOut(rollout, id, taken.length > 0);
      if (!instance) break;
      taken.push(instance);
    }
  } catch (error) {
    fail(batch[taken.length]?.id ?? '', error);
  }
  await Promise.all(
    taken.map((instance) =>
      rollInstance({ ...rollout, signal }, instance).catch((error: unknown) => fail(instance.id, error)),
    ),
  );
  if (failures.length > 0) await takeBack(io, record);
  return failures[0] ?? null;
}

/** Begins to drain an instance. Null when another one of the batch must come back first. */
async function takeOut(
  { io, record, signal }: Rollout,
  id: string,
  othersAreOut: boolean,
): Promise<ApiInstance | null> {
  signal.throwIfAborted();
  const instances = await io.instances();
  const instance = findInstance(instances, id);
  if (isServingState(instance.state) && isLastServing(instance, instances)) {
    if (othersAreOut) return null;
    throw new CommandFailed('it is the last serving instance; register another one first');
  }
  if (!record.current.includes(id)) record.current.push(id);
  await io.save(record);
  // Where an earlier run stopped, sessions must not return to a build that failed.
  if (instance.admin !== 'maint') await io.setAdmin(id, 'drain');
  return instance;
}

async function rollInstance({ io, settings, record, signal }: Rollout, before: ApiInstance): Promise<void> {
  const { id } = before;
  const watch: DrainWatch = {
    read: async () => findInstance(await io.instances(), id),
    uncontrolled: io.uncontrolled,
    now: io.now,
    sleep: (ms) => io.sleep(ms, signal),
    report: (text) => io.progress(id, text),
  };
  const check = (problem: string | null): void => {
    if (problem !== null) throw new CommandFailed(problem);
  };
  io.step(id, 'draining');
  await waitForDrain(watch, settings.deadlineMs);
  // Sessions move to other instances now.
  await io.setAdmin(id, 'maint');
  const end = await waitForDrain(watch, settings.deadlineMs);
  const isDrained = end.kind === 'drained';
  if (!isDrained && !settings.cutRemaining) check(`${drainText(end)}; --cut-remaining continues anyway`);
  io.step(id, isDrained ? 'drained; running the command' : `running the command; ${drainText(end)}`);
  if (!record.changed.includes(id)) record.changed.push(id);
  await io.save(record);
  check(await io.run(await watch.read()));
  io.step(id, 'command succeeded; waiting for passed probes');
  check(await waitUntilHealthy(watch, settings.healthyWithinMs));
  await io.setAdmin(id, 'ready');
  io.step(id, 'healthy; back in service, compared with its peers');
  const limits = { settleMs: settings.settleMs, limitMs: settings.healthyWithinMs };
  check(await waitUntilSettled(watch, before, limits));
  record.done.push(id);
  record.current = record.current.filter((other) => other !== id);
  record.changed = record.changed.filter((other) => other !== id);
  await io.save(record);
  io.step(id, 'done');
}

/** A build that failed gets no traffic, unless nothing else serves. The agent judges an instance that is ready by its probes. */
async function takeBack(io: RolloutIo, { service, current, changed }: RolloutRecord): Promise<void> {
  for (const id of current) {
    try {
      const others = (await io.instances()).filter((instance) => instance.id !== id);
      const isNeeded = !others.some(({ state }) => isServingState(state));
      const admin = changed.includes(id) && !isNeeded ? 'maint' : 'ready';
      await io.setAdmin(id, admin);
      io.step(
        id,
        admin === 'ready'
          ? READY_AGAIN
          : `stays out; after a repair: acgs-lb ready ${service} ${id}, or --resume`,
      );
    } catch (error) {
      io.step(id, `its state is unknown (${messageOf(error)}): see \`acgs-lb status ${service}\``);
    }
  }
}

const READY_AGAIN = 'ready again; gets traffic when its probes pass';

function findInstance(instances: readonly ApiInstance[], id: string): ApiInstance {
  const instance = instances.find((each) => each.id === id);
  if (!instance) throw new CommandFailed('it was deregistered');
  return instance;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
