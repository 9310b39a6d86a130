import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFile, writeFileAtomic } from '../../lib/atomic-file.ts';
import { lockFolder } from '../../lib/folder-lock.ts';
import { makeFolder } from '../../lib/make-folder.ts';
import { CommandFailed } from '../errors.ts';
import type { RolloutRecord } from './rollout.ts';

/** Keeps an unfinished rollout in `<state folder>/rollouts/<service>.json`. */
export interface RolloutRecordFile {
  read(): Promise<RolloutRecord | null>;
  save(record: RolloutRecord): Promise<void>;
  remove(): Promise<void>;
  close(): void;
}

const recordSchema = z.object({
  v: z.literal(1),
  service: z.string(),
  command: z.array(z.string()).min(1),
  done: z.array(z.string()),
  current: z.array(z.string()),
  // Records of older versions do not have it.
  changed: z.array(z.string()).default([]),
});

/** Throws CommandFailed when another process rolls out this service with the same state folder. */
export async function openRolloutRecord(stateDir: string, service: string): Promise<RolloutRecordFile> {
  const folder = join(stateDir, 'rollouts');
  const path = join(folder, `${service}.json`);
  makeFolder(folder, 0o700);
  const close = await lockFolder(join(folder, service)).catch((cause: unknown) => {
    throw new CommandFailed(`another rollout of ${service} is running`, { cause });
  });
  return {
    async read() {
      const value = await readJsonFile(path);
      if (value === undefined) return null;
      const parsed = recordSchema.safeParse(value);
      if (!parsed.success) throw new CommandFailed(`${path} is damaged: delete it`);
      return parsed.data;
    },
    save: (record) => writeFileAtomic(path, `${JSON.stringify({ v: 1, ...record }, null, 2)}\n`),
    remove: () => rm(path, { force: true }),
    close,
  };
}
