import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { createSerialQueue } from '../lib/serial-queue.ts';

/**
 * A first-in, first-out queue on disk that survives crashes. Records are lines `<crc32 in hex> <JSON>` of segment files. A
 * line that is incomplete or fails its checksum is ignored. Above `maxBytes` the oldest segment is deleted.
 */
export interface Spool<T> {
  append(record: SpoolRecord<T>): Promise<void>;
  /** The oldest record, or null. The same record until `acknowledge` is called. */
  peek(): Promise<SpoolRecord<T> | null>;
  /** Removes the record that `peek` returned. After a crash it may be returned again; the reader detects that by its id. */
  acknowledge(): Promise<void>;
  size(): { rows: number; bytes: number; maxBytes: number; droppedRows: number };
}

export interface SpoolRecord<T> {
  /** Unique for all time, so that a reader can detect a record that it has already processed. */
  id: string;
  /** Number of history rows in `body`, for the status and the count of dropped rows. */
  rows: number;
  body: T;
}

interface SpoolOptions {
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
  const segments = await scanSegments(folder);
  // A new segment: the last line of an existing one may be incomplete.
  let next = (segments.at(-1)?.number ?? 0) + 1;
  let writing: SpoolSegment | null = null;
  let reading: { segment: SpoolSegment; records: SpoolRecord<T>[] } | null = null;
  let droppedRows = 0;

  const removeSegment = async (segment: SpoolSegment): Promise<void> => {
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
      // The segment may end in an incomplete line now: the next record starts a new segment.
      writing = null;
      if (segment.bytes === 0) await removeSegment(segment).catch(() => {});
      throw error;
    }
    segment.bytes += bytes.length;
    segment.rows += record.rows;
    while (total(segments, 'bytes') > maxBytes && segments[0] && segments[0] !== segment) {
      droppedRows += segments[0].rows;
      await removeSegment(segments[0]);
    }
  }

  // Concurrent appends to one segment could mix their bytes.
  const appends = createSerialQueue();

  return {
    append: (record) => appends.add(() => append(record)),
    async peek() {
      while (!reading?.records.length) {
        if (reading) await removeSegment(reading.segment);
        const oldest = segments[0];
        if (!oldest) return null;
        // A segment that is being read is complete: the next record starts a new segment.
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
      if (reading.records.length === 0) await removeSegment(reading.segment);
    },
    size: () => ({ rows: total(segments, 'rows'), bytes: total(segments, 'bytes'), maxBytes, droppedRows }),
  };
}

const total = (segments: readonly SpoolSegment[], field: 'bytes' | 'rows'): number =>
  segments.reduce((sum, segment) => sum + segment[field], 0);

async function scanSegments(folder: string): Promise<SpoolSegment[]> {
  const segments: SpoolSegment[] = [];
  for (const number of await listSegments(folder)) {
    const path = join(folder, segmentName(number));
    const records = await readSegment(path);
    const { size } = await stat(path);
    segments.push({ number, bytes: size, rows: records.reduce((sum, record) => sum + record.rows, 0) });
  }
  return segments;
}

const segmentName = (number: number): string => `${String(number).padStart(12, '0')}.spool`;

/** Numbers of the segments in a folder, oldest first. */
async function listSegments(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => /^\d{12}\.spool$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
}

function encodeRecord<T>(record: SpoolRecord<T>): Buffer {
  const json = JSON.stringify(record);
  return Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`);
}

/** The valid records of a segment in order; none when the file no longer exists. */
async function readSegment<T>(path: string): Promise<SpoolRecord<T>[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    const json = line.slice(9);
    if (line[8] !== ' ' || crc32(json) !== Number.parseInt(line.slice(0, 8), 16)) return [];
    return [JSON.parse(json) as SpoolRecord<T>];
  });
}

/** Appends; resolves when the bytes and the directory entry of the file are on the disk. */
async function appendDurably(folder: string, number: number, bytes: Buffer): Promise<void> {
  const file = await open(join(folder, segmentName(number)), 'a', 0o600);
  try {
    const { size } = await file.stat();
    await file.appendFile(bytes);
    await file.datasync();
    if (size > 0) return;
  } finally {
    await file.close();
  }
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
