import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';

/**
 * Keeps the records on disk, so that a restart does not disturb traffic. Without the file, instances need about a
 * second to pass their checks again.
 */
export interface StateFile {
  /** Writes the file within a second. */
  scheduleWrite(): void;
  /** Writes the file once more. */
  close(): Promise<void>;
}

const WRITE_DELAY_MS = 1_000;
const pathIn = (stateDir: string): string => join(stateDir, 'judged.json');

const savedStateSchema = z.object({ v: z.literal(1), savedAt: z.number(), records: z.array(z.unknown()) });

/** The saved records, not yet parsed. Empty at the first start, or if the file cannot be used. */
export async function loadSavedRecords(
  stateDir: string,
  onError: (error: unknown) => void,
): Promise<unknown[]> {
  try {
    const parsed = savedStateSchema.safeParse(await readJsonFile(pathIn(stateDir)));
    return parsed.success ? parsed.data.records : [];
  } catch (error) {
    onError(error);
    return [];
  }
}

export function createStateFile(options: {
  stateDir: string;
  records(): Iterable<unknown>;
  onError(error: unknown): void;
  now?: () => number;
}): StateFile {
  const { stateDir, records, onError, now = Date.now } = options;
  const queue = createSerialQueue();
  let timer: NodeJS.Timeout | undefined;

  const write = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return queue.add(async () => {
      const document = { v: 1, savedAt: now(), records: [...records()] };
      await writeFileAtomic(pathIn(stateDir), JSON.stringify(document)).catch(onError);
    });
  };

  return {
    scheduleWrite() {
      timer ??= setTimeout(() => void write(), WRITE_DELAY_MS);
    },
    close: write,
  };
}
