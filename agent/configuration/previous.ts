import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { makeFolder } from '../lib/make-folder.ts';

/** The texts of the configurations that were in effect before, on disk and readable only by the agent's user. */
export interface PreviousConfigs {
  /** Records the text that is now in effect. The text before it becomes the latest previous one if `changed`. */
  activated(text: string, changed: boolean): Promise<void>;
  /** The configuration before the current one; null when none is kept. */
  latest(): Promise<PreviousConfig | null>;
  /**
   * Records that `config`, which `latest` returned, is in effect again. Keeps the text that it replaced outside the list
   * and returns the path.
   */
  rolledBack(config: PreviousConfig): Promise<string>;
}

export interface PreviousConfig {
  path: string;
  text: string;
}

const KEPT = 5;
/** Milliseconds with leading zeros, so that the names sort by time. */
const FILE = /^\d{14}\.yaml$/;

export function createPreviousConfigs(stateDir: string, now: () => number = Date.now): PreviousConfigs {
  const folder = join(stateDir, 'configurations');
  const current = join(folder, 'current.yaml');
  const list = async (): Promise<string[]> =>
    (await readdir(folder).catch(ignoreMissing([]))).filter((name) => FILE.test(name)).toSorted();
  const readCurrent = (): Promise<string | null> => readFile(current, 'utf8').catch(ignoreMissing(null));

  async function add(text: string): Promise<void> {
    const names = await list();
    const last = Number(names.at(-1)?.slice(0, 14) ?? 0);
    const name = `${String(Math.max(now(), last + 1)).padStart(14, '0')}.yaml`;
    await writeFileAtomic(join(folder, name), text);
    for (const old of [...names, name].slice(0, -KEPT)) await rm(join(folder, old), { force: true });
  }

  return {
    async activated(text, changed) {
      makeFolder(folder, 0o700);
      const before = await readCurrent();
      if (before === text) return;
      if (before !== null && changed) await add(before);
      await writeFileAtomic(current, text);
    },
    async latest() {
      const name = (await list()).at(-1);
      if (name === undefined) return null;
      const path = join(folder, name);
      return { path, text: await readFile(path, 'utf8') };
    },
    async rolledBack({ path, text }) {
      const kept = join(folder, 'rolled-back.yaml');
      await writeFileAtomic(kept, (await readCurrent()) ?? '');
      await writeFileAtomic(current, text);
      await rm(path, { force: true });
      return kept;
    },
  };
}

/** Handles a missing file or folder: the value stands for it. */
const ignoreMissing =
  <T>(value: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
