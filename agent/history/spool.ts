import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  appendDurably,
  encodeRecord,
  listSegments,
  readSegment,
  type SpoolRecord,
  segmentName,
} from './spool-file.ts';

/** A queue on disk that survives crashes: first in, first out, bounded in bytes (the oldest segment goes first). */
export interface Spool<T> {
  append(record: SpoolRecord<T>): Promise<void>;
  /** The oldest record, or null. The same one until `done` is called. */
  peek(): Promise<SpoolRecord<T> | null>;
  /** Forgets what `peek` gave. After a crash it may be given once more: whoever reads it must know it by its id. */
  acknowledge(): Promise<void>;
  size(): { rows: number; bytes: number; droppedRows: number };
}

export interface SpoolOptions {
  folder: string;
  maxBytes?: number;
  segmentBytes?: number;
}

interface SpoolSegment {
  number: number;
  bytes: number;
  rows: number;
}

export async function openSpool<T>({
  folder,
  maxBytes = 256 * 1024 * 1024,
  segmentBytes = 1024 * 1024,
}: SpoolOptions): Promise<Spool<T>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const segments = await scan(folder);
  // Never appended to what another run wrote: its last line may be torn.
  let next = (segments.at(-1)?.number ?? 0) + 1;
  let writing: SpoolSegment | null = null;
  let reading: { segment: SpoolSegment; records: SpoolRecord<T>[] } | null = null;
  let droppedRows = 0;

  const forget = async (segment: SpoolSegment): Promise<void> => {
    segments.splice(segments.indexOf(segment), 1);
    if (writing === segment) writing = null;
    if (reading?.segment === segment) reading = null;
    await rm(join(folder, segmentName(segment.number)), { force: true });
  };

  async function append(record: SpoolRecord<T>): Promise<void> {
    const bytes = encodeRecord(record);
    if (!writing || writing.bytes + bytes.length > segmentBytes) {
      writing = { number: next++, bytes: 0, rows: 0 };
      segments.push(writing);
    }
    const segment = writing;
    try {
      await appendDurably(folder, segment.number, bytes);
    } catch (error) {
      // Half a line may be there now: the next record starts another segment. One without a whole line is none.
      writing = null;
      if (segment.bytes === 0) await forget(segment).catch(() => {});
      throw error;
    }
    segment.bytes += bytes.length;
    segment.rows += record.rows;
    while (total(segments, 'bytes') > maxBytes && segments[0] && segments[0] !== segment) {
      droppedRows += segments[0].rows;
      await forget(segments[0]);
    }
  }

  let appending: Promise<unknown> = Promise.resolve();

  return {
    // One after the other: what two wrote at once into one segment could mix.
    append(record) {
      const appended = appending.then(() => append(record));
      appending = appended.catch(() => {});
      return appended;
    },
    async peek() {
      while (!reading?.records.length) {
        if (reading) await forget(reading.segment);
        const oldest = segments[0];
        if (!oldest) return null;
        // What is being read is complete: appends go to a segment of their own.
        if (writing === oldest) writing = null;
        reading = {
          segment: oldest,
          records: await readSegment<T>(join(folder, segmentName(oldest.number))),
        };
      }
      return reading.records[0] ?? null;
    },
    async acknowledge() {
      const record = reading?.records.shift();
      if (!reading || !record) return;
      reading.segment.rows -= record.rows;
      if (reading.records.length === 0) await forget(reading.segment);
    },
    size: () => ({ rows: total(segments, 'rows'), bytes: total(segments, 'bytes'), droppedRows }),
  };
}

const total = (segments: readonly SpoolSegment[], what: 'bytes' | 'rows'): number =>
  segments.reduce((sum, segment) => sum + segment[what], 0);

async function scan(folder: string): Promise<SpoolSegment[]> {
  const segments: SpoolSegment[] = [];
  for (const number of await listSegments(folder)) {
    const path = join(folder, segmentName(number));
    const records = await readSegment(path);
    const { size } = await stat(path);
    segments.push({ number, bytes: size, rows: records.reduce((sum, record) => sum + record.rows, 0) });
  }
  return segments;
}
