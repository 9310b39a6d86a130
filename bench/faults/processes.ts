import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

export const openDescriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Sets the soft limit of a running process: from then on it cannot open more than `limit`. */
export function limitDescriptors(pid: number, limit: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
}
