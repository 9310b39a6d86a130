import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/**
 * One segment of the spool: a line a record, `<crc32 in hex> <JSON>`. A record counts only when its line is whole and
 * its checksum holds, so a write torn by a crash is as if it had not been.
 */
export interface SpoolRecord<T> {
  /** Unique for all time: what makes a replay exactly-once. */
  id: string;
  /** How many history rows it holds, for status and for what is dropped. */
  rows: number;
  body: T;
}

const SUFFIX = '.spool';

export const segmentName = (number: number): string => `${String(number).padStart(12, '0')}${SUFFIX}`;

/** Numbers of the segments in a folder, oldest first. */
export async function listSegments(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => /^\d{12}\.spool$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
}

export function encodeRecord<T>(record: SpoolRecord<T>): Buffer {
  const json = JSON.stringify(record);
  return Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`);
}

/** Every whole record of a segment, in order. Torn and damaged lines are left out; a file that somebody removed is empty. */
export async function readSegment<T>(path: string): Promise<SpoolRecord<T>[]> {
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

/** Appends and does not return before the bytes, and the file's name, are on the disk. */
export async function appendDurably(folder: string, number: number, bytes: Buffer): Promise<void> {
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
