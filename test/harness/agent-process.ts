import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../dev/ports.ts';

/** Writes a configuration that needs no other program, and returns its path. */
export async function writeAgentConfig(folder: string, agents = 1): Promise<string> {
  const file = join(folder, 'acgs-lb.yaml');
  const config = {
    version: 1,
    site: { id: 'main', agents },
    agent: { bind: `127.0.0.1:${await freePort()}` },
    haproxy: {
      file: join(folder, 'haproxy.cfg'),
      socket: join(folder, 'a.sock'),
      masterSocket: join(folder, 'm.sock'),
      agentCheck: `127.0.0.1:${await freePort()}`,
    },
    services: { gs: { routes: ['/'] } },
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

export interface AgentProcess {
  child: ChildProcess;
  /** What it has written to both streams so far. */
  output(): string;
  /** Its exit code, or the signal that ended it. */
  ended: Promise<unknown>;
  kill(): Promise<void>;
}

/** Starts an agent without Redis and Postgres. `args` are those of Node. */
export function startAgentProcess(args: string[], env: Record<string, string> = {}): AgentProcess {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      ACGS_TOKEN: 'x',
      DATABASE_URL: 'postgres://absent@127.0.0.1:1/none',
      ...env,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  return {
    child,
    output: () => output,
    ended,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
