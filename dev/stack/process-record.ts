import { existsSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';
import { removeFolder } from '../servers/folder.ts';

const recordSchema = z.object({
  supervisor: z.object({ pid: z.int(), started: z.string() }),
  processes: z.array(z.object({ name: z.string(), pid: z.int(), started: z.string() })),
  folders: z.array(z.string()),
});
type RecordedStack = z.output<typeof recordSchema>;

/**
 * A file with the processes and folders of the running stack. When the supervisor is killed, the next start stops the
 * processes that are left. The start time guards against a pid that another program has got since.
 */
export class ProcessRecord {
  readonly #file: string;
  readonly #record: RecordedStack;

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
    rmSync(this.#file, { force: true });
  }

  #write(): void {
    writeFileAtomic.sync(this.#file, JSON.stringify(this.#record), { mode: 0o600 });
  }
}

/** Returns the pid of the stack that runs with this state folder. Else stops what a killed stack left and returns null. */
export async function stopLeftovers(file: string): Promise<number | null> {
  const left = read(file);
  if (!left) return null;
  if (isAlive(left.supervisor)) return left.supervisor.pid;
  const alive = left.processes.filter(isAlive);
  for (const { pid } of alive) signal(pid, 'SIGTERM');
  await waitUntilGone(alive);
  for (const process of alive.filter(isAlive)) signal(process.pid, 'SIGKILL');
  // A process that is still ending can write into its folder.
  await waitUntilGone(alive);
  for (const folder of left.folders) removeFolder(folder);
  rmSync(file, { force: true });
  return null;
}

async function waitUntilGone(processes: RecordedStack['processes']): Promise<void> {
  for (let waited = 0; waited < 3_000 && processes.some(isAlive); waited += 50) await sleep(50);
}

function read(file: string): RecordedStack | null {
  if (!existsSync(file)) return null;
  try {
    return recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
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
    // The process has ended.
  }
}

/** Start time of a process in ticks since boot (field 22 of /proc/PID/stat), or null when it does not run. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program name in parentheses; it can contain spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
