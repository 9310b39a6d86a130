import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { removeFolder } from '../servers/folder.ts';
import { removeFile, writeWhole } from './files.ts';

const leftSchema = z.object({
  supervisor: z.object({ pid: z.int(), started: z.string() }),
  processes: z.array(z.object({ name: z.string(), pid: z.int(), started: z.string() })),
  folders: z.array(z.string()),
});
type Left = z.output<typeof leftSchema>;

/**
 * What the running stack has started, on disk: when the supervisor is killed outright, the next start ends what is
 * left. A pid alone may have been given to another program since; pid and start time together are the same process.
 */
export class ProcessRecord {
  readonly #file: string;
  readonly #record: Left;

  constructor(file: string) {
    this.#file = file;
    this.#record = {
      supervisor: { pid: process.pid, started: startTime(process.pid) ?? '' },
      processes: [],
      folders: [],
    };
    this.#write();
  }

  addProcess(name: string, pid: number): void {
    this.#record.processes = this.#record.processes.filter((process) => isAlive(process));
    this.#record.processes.push({ name, pid, started: startTime(pid) ?? '' });
    this.#write();
  }

  addFolder(folder: string): void {
    this.#record.folders.push(folder);
    this.#write();
  }

  remove(): void {
    removeFile(this.#file);
  }

  #write(): void {
    writeWhole(this.#file, JSON.stringify(this.#record));
  }
}

/** The pid of the stack that runs with this state folder, or null; then what a killed one left behind is ended. */
export async function stopLeftovers(file: string): Promise<number | null> {
  const left = read(file);
  if (!left) return null;
  if (isAlive(left.supervisor)) return left.supervisor.pid;
  const alive = left.processes.filter(isAlive);
  for (const { pid } of alive) signal(pid, 'SIGTERM');
  await untilGone(alive);
  for (const process of alive.filter(isAlive)) signal(process.pid, 'SIGKILL');
  // One that is not gone yet may still write into its folder.
  await untilGone(alive);
  for (const folder of left.folders) removeFolder(folder);
  removeFile(file);
  return null;
}

async function untilGone(processes: Left['processes']): Promise<void> {
  for (let waited = 0; waited < 3_000 && processes.some(isAlive); waited += 50) await sleep(50);
}

function read(file: string): Left | null {
  if (!existsSync(file)) return null;
  try {
    return leftSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}

function isAlive({ pid, started }: { pid: number; started: string }): boolean {
  return started !== '' && startTime(pid) === started;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Ticks since boot at which the process began (field 22 of /proc/PID/stat), or null when there is none. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
