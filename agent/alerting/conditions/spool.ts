import { statfs } from 'node:fs/promises';
import type { Condition } from './condition.ts';

/** Where history waits while Postgres is away, and the disk under it. */
export interface SpoolFacts {
  bytes: number;
  maxBytes: number;
  disk: { freeBytes: number; totalBytes: number } | null;
}

const SPOOL_WARNING_PERCENT = 50;
const SPOOL_CRITICAL_PERCENT = 90;
const DISK_WARNING_PERCENT = 10;
const DISK_CRITICAL_PERCENT = 3;
const MEBIBYTE = 1024 * 1024;

export function spoolConditions({ bytes, maxBytes, disk }: SpoolFacts): Condition[] {
  const used = (100 * bytes) / maxBytes;
  const found: Condition[] = [];
  if (used >= SPOOL_WARNING_PERCENT) {
    const critical = used >= SPOOL_CRITICAL_PERCENT;
    found.push({
      rule: 'spoolDisk',
      service: '',
      subject: 'spool',
      severity: critical ? 'critical' : 'warning',
      value: Math.floor(used),
      threshold: critical ? SPOOL_CRITICAL_PERCENT : SPOOL_WARNING_PERCENT,
      message:
        `the history spool is ${Math.floor(used)} % full (${mebibytes(bytes)} of ${mebibytes(maxBytes)} MiB); ` +
        'when it is full, the oldest history is deleted',
    });
  }
  if (disk) found.push(...diskConditions(disk));
  return found;
}

function diskConditions({ freeBytes, totalBytes }: NonNullable<SpoolFacts['disk']>): Condition[] {
  const free = (100 * freeBytes) / totalBytes;
  if (free >= DISK_WARNING_PERCENT) return [];
  const critical = free < DISK_CRITICAL_PERCENT;
  const threshold = critical ? DISK_CRITICAL_PERCENT : DISK_WARNING_PERCENT;
  return [
    {
      rule: 'spoolDisk',
      service: '',
      subject: 'disk',
      severity: critical ? 'critical' : 'warning',
      // Rounded down: the text never shows a figure that has not crossed its threshold.
      value: Math.floor(free * 10) / 10,
      threshold,
      message: `the disk of the state folder has ${(Math.floor(free * 10) / 10).toFixed(1)} % free (${mebibytes(freeBytes)} MiB; ${critical ? 'critical' : 'warning'} below ${threshold} %)`,
    },
  ];
}

const mebibytes = (bytes: number): number => Math.round(bytes / MEBIBYTE);

/** Null when the file system does not say. */
export async function readDisk(folder: string): Promise<SpoolFacts['disk']> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return blocks > 0 ? { freeBytes: bavail * bsize, totalBytes: blocks * bsize } : null;
  } catch {
    return null;
  }
}
