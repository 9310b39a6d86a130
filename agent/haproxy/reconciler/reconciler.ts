import { errorMessage } from '../../../shared/error-message.ts';
import type { Change, TrafficDelta } from '../../core/state.ts';
import { backendsOf } from '../long-lived.ts';
import { createRuntimeClient } from '../socket/runtime-client.ts';
import type { DesiredServers } from './desired.ts';
import type { ManualAdmin } from './manual-admin.ts';
import { createOperations, type ReconcilerOperationsOptions } from './operations.ts';
import { releaseVerdicts } from './release.ts';
import { initialState, type ReconcilerEffect, type ReconcilerEvent } from './state.ts';
import { step } from './step.ts';

export interface ReconcilerOptions extends Omit<ReconcilerOperationsOptions, 'client'> {
  /** Admin socket: a path or host:port. */
  socket: string;
  onTraffic(deltas: TrafficDelta[]): void;
  onConnectFailure(service: string, instance: string): void;
  /** After every round. */
  onRound(problems: readonly string[], manual: readonly ManualAdmin[]): void;
  /** A new worker answers; `from` is the description of the old one. */
  onReload(from: string): void;
}

/**
 * Keeps one HAProxy in the desired state: runs a round every 250 ms (every second above 200 servers), and at once after
 * a change.
 */
export interface Reconciler {
  /** The first call starts the rounds. */
  update(desired: DesiredServers, changes: readonly Change[]): void;
  reconfigured(): void;
  /** Starts no new operation. Resolves when the current one ends. */
  stop(): Promise<void>;
  /** Returns every server to HAProxy's own checks. Call `stop` first. */
  release(): Promise<void>;
  /** Closes the connection to HAProxy. */
  close(): void;
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { socket, files, config } = options;
  // Only the own HAProxy runs on this host.
  const masterSocket = files ? config().haproxy.masterSocket : undefined;
  const client = createRuntimeClient({ socket, masterSocket });
  const operations = createOperations({ ...options, client });
  let state = initialState(options.files ? 'own' : 'shared');
  let timer: NodeJS.Timeout | undefined;
  let operation: Promise<void> = Promise.resolve();
  let stopped = false;

  function send(event: ReconcilerEvent): void {
    if (stopped) return;
    const next = step(state, event, performance.now());
    state = next.state;
    for (const effect of next.effects) perform(effect);
  }

  function perform(effect: ReconcilerEffect): void {
    switch (effect.type) {
      case 'poll':
        clearTimeout(timer);
        run(operations.poll(effect));
        return;
      case 'apply':
        run(operations.apply(effect));
        return;
      case 'reload':
        run(operations.reload(effect));
        return;
      case 'schedule':
        timer = setTimeout(() => send({ type: 'round-due' }), effect.delayMs);
        return;
      case 'record-traffic':
        options.onTraffic(effect.deltas);
        return;
      case 'report-connect-failures':
        for (const { service, instance } of effect.servers) options.onConnectFailure(service, instance);
        return;
      case 'report-round':
        options.onRound(
          [...effect.problems, client.problem()].filter((problem) => problem !== null),
          effect.manual,
        );
        return;
      case 'report-reload':
        options.onReload(effect.from);
    }
  }

  function run(work: Promise<ReconcilerEvent>): void {
    operation = work
      .catch((error: unknown) => ({ type: 'unreachable', problem: errorMessage(error) }) as const)
      .then(send);
  }

  async function stop(): Promise<void> {
    stopped = true;
    clearTimeout(timer);
    await operation;
  }

  return {
    update: (desired, changes) => send({ type: 'desired-changed', desired, changes }),
    reconfigured: () => send({ type: 'reconfigured' }),
    stop,
    release: async () =>
      void (await releaseVerdicts(client, backendsOf(Object.keys(options.config().services)))),
    close() {
      void stop();
      client.close();
    },
  };
}
