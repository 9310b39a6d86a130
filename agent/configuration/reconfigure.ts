import { realpath, stat } from 'node:fs/promises';
import type { Config } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { keepRestartOnlyValues } from '../../shared/config/restart-only.ts';
import type { JudgeCommand } from '../core/judge-event.ts';
import { fileSources } from '../judge/initial.ts';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { Log } from '../lib/log.ts';
import { describeConfigChanges } from './difference.ts';

export interface ReconfigureResult {
  changes: string[];
  /** Written to the operator's file. */
  saved: boolean;
  note?: string;
}

export interface ReconfigureDeps {
  current(): Config;
  /** Throws when environment or HAProxy would not do with it; changes nothing. */
  check(config: Config): Promise<void>;
  /** Makes it the configuration in force. */
  activate(config: Config): void;
  apply(command: JudgeCommand): unknown;
  /** After the instances of the new file stand. */
  onActivated(): void;
  path: string;
  log: Log;
}

export interface Reconfigurer {
  /** New text from the API: checked, put in force, and written to the file. Throws with every mistake. */
  applyText(text: string, dryRun: boolean): Promise<ReconfigureResult>;
  /** The file as it stands now. */
  applyFile(text: string): Promise<ReconfigureResult>;
}

/** Takes a new configuration whole, or throws and keeps the old one whole. One at a time. */
export function createReconfigurer(deps: ReconfigureDeps): Reconfigurer {
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.catch(() => {}).then(work);
    turn = mine;
    return mine;
  };

  async function take(text: string): Promise<string[]> {
    const before = deps.current();
    const parsed = parseConfig(text, deps.path);
    const changes = describeConfigChanges(before, parsed);
    const next = keepRestartOnlyValues(before, parsed);
    await deps.check(next);
    deps.activate(next);
    const wanted = fileSources(next);
    for (const [key, { service, id }] of fileSources(before)) {
      if (wanted.has(key)) continue;
      deps.apply({ kind: 'deregister', service, instance: id, reason: 'no longer in the file' });
    }
    for (const source of wanted.values()) {
      deps.apply({ kind: 'register', source, known: false, reason: `in the file, ${source.url}` });
    }
    deps.onActivated();
    for (const change of changes) deps.log.info({ change }, 'configuration changed');
    return changes;
  }

  async function save(text: string): Promise<Pick<ReconfigureResult, 'saved' | 'note'>> {
    try {
      // Of a link, what it points to is written: the link stays one.
      const path = await realpath(deps.path);
      const { mode } = await stat(path);
      await writeFileAtomic(path, text, mode & 0o777);
      return { saved: true };
    } catch (error) {
      const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      return {
        saved: false,
        note: `in force until the next restart: ${deps.path} cannot be written (${why})`,
      };
    }
  }

  return {
    applyText: (text, dryRun) =>
      inTurn(async () => {
        if (dryRun) {
          const parsed = parseConfig(text, deps.path);
          await deps.check(keepRestartOnlyValues(deps.current(), parsed));
          return { changes: describeConfigChanges(deps.current(), parsed), saved: false };
        }
        return { changes: await take(text), ...(await save(text)) };
      }),
    applyFile: (text) => inTurn(async () => ({ changes: await take(text), saved: true })),
  };
}
