import { stat } from 'node:fs/promises';
import type { Config } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { keepRestartOnlyValues } from '../../shared/config/restart-only.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { JudgeCommand } from '../core/judge-event.ts';
import { fileSources } from '../judge/initial.ts';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { Log } from '../lib/log.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';
import { type ConfigChange, configChanges } from './difference.ts';
import { refuseHostOnlyChanges } from './host-only.ts';
import type { PreviousConfigs } from './previous.ts';

export interface ReconfigureResult {
  /** One line for each changed key. */
  changes: string[];
  /** The changed keys that take effect when the agent restarts. */
  restart: string[];
  /** Whether the operator's file holds this configuration. */
  saved: boolean;
  note?: string;
}

export interface ReconfigureDeps {
  current(): Config;
  /** Throws if the environment, HAProxy, or a registration conflicts with the configuration. Changes nothing. */
  check(config: Config): Promise<void>;
  /** Puts the configuration into effect. */
  activate(config: Config): void;
  apply(command: JudgeCommand): unknown;
  /** Called after the instances of the configuration are registered. */
  onActivated(): void;
  /** Reports the changes of a configuration that is in effect. `by`: the requester; absent: the operator's file. */
  onChanges(changes: readonly ConfigChange[], by?: string): void;
  /** Reports that the operator's file was refused. `problem` has one line for each error. */
  onRefused(problem: string): void;
  previous: PreviousConfigs;
  /** The operator's file. */
  path: string;
  log: Log;
}

/** Every method throws an error that reports every problem, and then the old configuration stays in effect. */
export interface Reconfigurer {
  /**
   * Checks and applies a text from the API, and writes it to the operator's file. Refuses changes that only the host may
   * make. `dryRun`: only checks it. `by` names the requester.
   */
  applyText(text: string, options: ApplyOptions): Promise<ReconfigureResult>;
  /** As `applyText`, with the text of the previous configuration. Null when none is kept. */
  rollBack(options: ApplyOptions): Promise<ReconfigureResult | null>;
  /** Checks and applies the text of the operator's file. */
  applyFile(text: string): Promise<ReconfigureResult>;
}

export interface ApplyOptions {
  dryRun: boolean;
  by: string;
}

/** Where a text comes from; `by` is the requester. */
type Source = { kind: 'file' } | { kind: 'api'; by: string };

/** Replaces the configuration, one at a time. */
export function createReconfigurer(deps: ReconfigureDeps): Reconfigurer {
  const queue = createSerialQueue();

  async function check(text: string, source: Source): Promise<{ next: Config; changes: ConfigChange[] }> {
    const parsed = parseConfig(text, deps.path);
    if (source.kind === 'api') refuseHostOnlyChanges(deps.current(), parsed);
    const changes = configChanges(deps.current(), parsed);
    const next = keepRestartOnlyValues(deps.current(), parsed);
    await deps.check(next);
    return { next, changes };
  }

  async function apply(text: string, from: Source): Promise<ConfigChange[]> {
    const { next, changes } = await check(text, from);
    const by = from.kind === 'api' && { by: from.by };
    const before = fileSources(deps.current());
    deps.activate(next);
    const sources = fileSources(next);
    for (const [key, { service, id }] of before) {
      if (sources.has(key)) continue;
      deps.apply({ kind: 'deregister', service, instance: id, reason: 'no longer in the file', ...by });
    }
    for (const source of sources.values()) {
      deps.apply({ kind: 'register', source, known: false, reason: `in the file, ${source.url}`, ...by });
    }
    deps.onActivated();
    for (const change of changes) deps.log.info({ change: change.text, ...by }, 'configuration changed');
    if (changes.length > 0) deps.onChanges(changes, from.kind === 'api' ? from.by : undefined);
    return changes;
  }

  /** A full disk must not undo a change that is in effect. */
  async function remember(text: string, changes: readonly ConfigChange[]): Promise<void> {
    await deps.previous
      .activated(text, changes.length > 0)
      .catch((error: unknown) =>
        deps.log.error({ error: errorMessage(error) }, 'previous configuration not kept: no rollback to it'),
      );
  }

  return {
    applyText: (text, { dryRun, by }) =>
      queue.add(async () => {
        const source = { kind: 'api', by } as const;
        if (dryRun) return { ...summary((await check(text, source)).changes), saved: false };
        const changes = await apply(text, source);
        await remember(text, changes);
        return { ...summary(changes), ...(await save(deps.path, text)) };
      }),
    rollBack: ({ dryRun, by }) =>
      queue.add(async () => {
        const latest = await deps.previous.latest();
        if (!latest) return null;
        const source = { kind: 'api', by } as const;
        if (dryRun) return { ...summary((await check(latest.text, source)).changes), saved: false };
        const changes = await apply(latest.text, source);
        const kept = await deps.previous.rolledBack(latest);
        const { saved, note } = await save(deps.path, latest.text);
        const notes = [note, `the replaced text is in ${kept} on the agent's host`].filter(Boolean);
        return { ...summary(changes), saved, note: notes.join('; ') };
      }),
    applyFile: (text) =>
      queue.add(async () => {
        const changes = await apply(text, { kind: 'file' }).catch((error: unknown) => {
          deps.onRefused(errorMessage(error));
          throw error;
        });
        await remember(text, changes);
        return { ...summary(changes), saved: true };
      }),
  };
}

const summary = (changes: readonly ConfigChange[]) => ({
  changes: changes.map(({ text }) => text),
  restart: changes.filter(({ restartOnly }) => restartOnly).map(({ key }) => key),
});

async function save(path: string, text: string): Promise<Pick<ReconfigureResult, 'saved' | 'note'>> {
  try {
    const { mode } = await stat(path);
    await writeFileAtomic(path, text, mode & 0o777);
    return { saved: true };
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return {
      saved: false,
      note: `in effect until the next restart only: ${path} cannot be written (${reason})`,
    };
  }
}
