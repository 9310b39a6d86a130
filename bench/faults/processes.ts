import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

export const openDescriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Limits a running process to the file descriptors that it has open. The returned function restores the limit. */
export function useUpDescriptors(pid: number): () => void {
  const set = (soft: string): void =>
    void execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
  const args = ['--pid', String(pid), '--nofile', '--noheadings', '--raw', '--output=SOFT'];
  const before = execFileSync('prlimit', args, { encoding: 'utf8' }).trim();
  set(String(openDescriptorCount(pid)));
  return () => set(before);
}
