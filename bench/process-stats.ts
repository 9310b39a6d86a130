import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

interface ProcessStat {
  name: string;
  parent: number;
  ticks: number;
}

/** Null when the process has ended. */
export function readProcessStat(pid: number): ProcessStat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const end = text.lastIndexOf(')');
    const fields = text.slice(end + 2).split(' ');
    return {
      name: text.slice(text.indexOf('(') + 1, end),
      parent: Number(fields[1]),
      ticks: Number(fields[11]) + Number(fields[12]),
    };
  } catch {
    return null;
  }
}

export const parentOf = (pid: number): number | null => readProcessStat(pid)?.parent ?? null;

const TICK_MICROS = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of a process, microseconds, in steps of a clock tick (usually 10 ms). */
export const cpuMicros = (pid: number): number => (readProcessStat(pid)?.ticks ?? 0) * TICK_MICROS;

/** Resident memory of a process. statm counts pages of 4 KiB. */
export const rssBytes = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4_096;
