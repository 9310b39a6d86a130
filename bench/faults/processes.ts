import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

export const openDescriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Takes away the free file descriptors of a running process. The returned function gives them back. */
export function useUpDescriptors(pid: number): () => void {
  const set = (soft: string): void =>
    void execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
  const args = ['--pid', String(pid), '--nofile', '--noheadings', '--raw', '--output=SOFT'];
  const before = execFileSync('prlimit', args, { encoding: 'utf8' }).trim();
  set(String(openDescriptorCount(pid)));
  return () => set(before);
}
