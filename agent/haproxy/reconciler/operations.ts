import { setImmediate } from 'node:timers/promises';
import type { Config } from '../../../shared/config/config.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { AdminState } from '../../core/state.ts';
import { backendsOf } from '../long-lived.ts';
import type { HaproxyFiles } from '../render/haproxy-files.ts';
import { requestReload } from '../socket/master.ts';
import { parseServersState, parseStat } from '../socket/parse.ts';
import { HaproxyUnreachable, type RuntimeClient } from '../socket/runtime-client.ts';
import { readWorker } from '../socket/worker.ts';
import { applyAction } from './actions.ts';
import { actualServers } from './diff.ts';
import type { ReconcilerEffect, ReconcilerEvent } from './state.ts';

/** The effects that take time. Each resolves with the event of its result. */
export interface ReconcilerOperations {
  poll(effect: EffectOf<'poll'>): Promise<ReconcilerEvent>;
  apply(effect: EffectOf<'apply'>): Promise<ReconcilerEvent>;
  reload(effect: EffectOf<'reload'>): Promise<ReconcilerEvent>;
}

const NONE: ReadonlyMap<string, AdminState> = new Map();

type EffectOf<Type extends ReconcilerEffect['type']> = Extract<ReconcilerEffect, { type: Type }>;

export interface ReconcilerOperationsOptions {
  client: RuntimeClient;
  config: () => Config;
  /** The files of this agent's own HAProxy; null for a HAProxy that has its own agent. */
  files: HaproxyFiles | null;
  /** See `HaproxyPoll.malformed`. */
  takeMalformed(): ReadonlyMap<string, number>;
  /** HAProxy has reached a limit of its own, such as that of open files. */
  isShort(): boolean;
  /** Wall clock, epoch milliseconds. */
  now(): number;
}

export function createOperations({
  client,
  config,
  files,
  takeMalformed,
  isShort,
  now,
}: ReconcilerOperationsOptions): ReconcilerOperations {
  /** The worker of the last poll; null: it failed. Another worker has loaded the state file. */
  let polledPid: number | null = null;

  return {
    async poll({ writeFiles, newConnection }) {
      // A file error must not keep a verdict from a running HAProxy, so the round goes on.
      const fileError = files && writeFiles ? await errorOf(files.write()) : null;
      if (newConnection) client.disconnect();
      const lastPid = polledPid;
      polledPid = null;
      const { pid, description } = await newestWorker(client);
      const recordedAdmin = pid === lastPid ? NONE : ((await files?.recordedAdmin()) ?? NONE);
      const [stat, serverStates] = await Promise.all([
        client.execute('show stat -1 4 -1'),
        client.execute('show servers state'),
      ]);
      // HAProxy writes a request's line before it counts it as ended: read the lines that have arrived.
      await setImmediate();
      const backends = backendsOf(Object.keys(config().services));
      const stats = parseStat(stat).filter(({ service }) => backends.has(service));
      polledPid = pid;
      return {
        type: 'polled',
        poll: {
          pid,
          description,
          at: now(),
          stats,
          malformed: takeMalformed(),
          isShort: isShort(),
          actual: actualServers(stats, parseServersState(serverStates), backends),
          serverStates,
          recordedAdmin,
          writtenServers: files?.writtenServers() ?? [],
          fileError,
        },
      };
    },
    async apply({ actions, count, saveStateFile }) {
      const results = await Promise.all(
        actions.map((action) => applyAction(client, config(), action, count)),
      );
      const saveError =
        files && saveStateFile !== null ? await errorOf(files.saveStateFile(saveStateFile)) : null;
      const fileStatus = { stale: files?.isStale() ?? false, fingerprint: files?.fingerprint() ?? '' };
      return { type: 'applied', results, saveError, files: fileStatus };
    },
    async reload({ stateFile }) {
      try {
        await files?.saveStateFile(stateFile);
        await requestReload(config().haproxy.masterSocket);
        return { type: 'reload-requested' };
      } catch (error) {
        return { type: 'reload-failed', problem: errorMessage(error) };
      }
    },
  };
}

/** An open connection keeps talking to the old worker after a reload: reconnect when that worker is stopping. */
async function newestWorker(client: RuntimeClient): ReturnType<typeof readWorker> {
  const first = await readWorker(client);
  if (!first.stopping) return first;
  client.disconnect();
  const second = await readWorker(client);
  if (second.stopping) throw new HaproxyUnreachable('HAProxy is stopping');
  return second;
}

const errorOf = (work: Promise<void>): Promise<string | null> => work.then(() => null, errorMessage);
