import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFile, writeFileAtomic } from '../lib/atomic-file.ts';
import { createSerialQueue } from '../lib/serial-queue.ts';

/**
 * Keeps the records on disk, so that a restart does not disturb traffic. Without the file, instances need about a
 * second to pass their checks again.
 */
export interface StateFile {
  /** Writes the file within a second, or later if the file is large. */
  scheduleWrite(): void;
  /** Writes the file once more. */
  close(): Promise<void>;
}

const WRITE_DELAY_MS = 1_000;
/** Ten thousand records are 13 MB: the agent writes a twentieth of the time at most. */
const WRITE_PAUSE = 20;
/** Records in one part of the file. Their serialization takes about a millisecond. */
const PART_RECORDS = 50;
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
  let durationMs = 0;

  const write = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return queue.add(async () => {
      const startedAt = performance.now();
      await writeFileAtomic(pathIn(stateDir), documentParts([...records()], now())).catch(onError);
      durationMs = performance.now() - startedAt;
    });
  };

  return {
    scheduleWrite() {
      timer ??= setTimeout(() => void write(), Math.max(WRITE_DELAY_MS, WRITE_PAUSE * durationMs));
    },
    close: write,
  };
}

function* documentParts(records: readonly unknown[], savedAt: number): Generator<string> {
  yield `{"v":1,"savedAt":${savedAt},"records":[`;
  for (let start = 0; start < records.length; start += PART_RECORDS) {
    const part = records.slice(start, start + PART_RECORDS).map((record) => JSON.stringify(record));
    yield `${start > 0 ? ',' : ''}${part.join()}`;
  }
  yield ']}';
}
