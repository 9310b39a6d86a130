import { join } from 'node:path';
import type { InstanceRecord } from '../judge/instance-record.ts';
import { parseSavedRecord, savedStateSchema } from '../judge/resume.ts';
import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import { instanceKey } from './state.ts';

/** Judged state on disk, so that a restart is no event for traffic. Losing it costs a second of proof, nothing else. */
export interface StateFile {
  /** Something changed: written within `delayMs`. */
  scheduleWrite(): void;
  close(): Promise<void>;
}

const WRITE_DELAY_MS = 1_000;
const pathIn = (stateDir: string): string => join(stateDir, 'judged.json');

/** Null when the agent starts here for the first time, or the file cannot be used. */
export async function loadSavedRecords(
  stateDir: string,
  onError: (error: unknown) => void,
): Promise<Map<string, InstanceRecord> | null> {
  try {
    const parsed = savedStateSchema.safeParse(await readJsonFile(pathIn(stateDir)));
    if (!parsed.success) return null;
    const records = parsed.data.records.map(parseSavedRecord).filter((record) => record !== null);
    return new Map(records.map((record) => [instanceKey(record.source.service, record.source.id), record]));
  } catch (error) {
    onError(error);
    return null;
  }
}

export function createStateFile(options: {
  stateDir: string;
  records(): Iterable<InstanceRecord>;
  onError(error: unknown): void;
  now?: () => number;
}): StateFile {
  const now = options.now ?? Date.now;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(async () => {
      const document = { v: 1, savedAt: now(), records: [...options.records()] };
      await writeFileAtomic(pathIn(options.stateDir), JSON.stringify(document)).catch(options.onError);
    });
    return writing;
  };

  return {
    scheduleWrite() {
      timer ??= setTimeout(() => void write(), WRITE_DELAY_MS);
    },
    close: write,
  };
}
