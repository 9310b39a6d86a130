import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CACHE_SERVICE } from './cache-service.ts';
import { loadWorkerBundle, workerdProgram } from './worker-bundle.ts';
import { EDGE_VARIABLES, workerdConfig } from './workerd-config.ts';

export interface EdgeServeOptions {
  bind: string;
  /** Holds the configuration of this edge and its Durable Objects. */
  stateDir: string;
  /** The folder of the agent's program. */
  programDir: string;
  env: Readonly<Record<string, string | undefined>>;
  tls?: { certificate: string; key: string };
}

export interface EdgeCommand {
  program: string;
  args: string[];
  env: Record<string, string>;
}

/**
 * workerd's allocator (tcmalloc) has a fast cache per CPU only when it registers restartable sequences itself. glibc
 * 2.35 and later registers them first unless this is set. With the cache, a request takes 7 to 8 % less CPU time. Other
 * C libraries ignore it.
 */
const ALLOCATOR = { GLIBC_TUNABLES: 'glibc.pthread.rseq=0' };

/** Writes the files for workerd into `stateDir` and returns the command to run. Throws an Error with advice. */
export async function prepareEdge(options: EdgeServeOptions): Promise<EdgeCommand> {
  const dir = resolve(options.stateDir);
  const objectsDir = join(dir, 'objects');
  await mkdir(objectsDir, { recursive: true, mode: 0o700 });
  const { code, ...runtime } = await loadWorkerBundle(options.programDir);
  await writeFile(join(dir, 'index.js'), code);
  await writeFile(join(dir, 'cache.js'), CACHE_SERVICE);
  if (options.tls) {
    // workerd embeds files only from the folder of its configuration, so these are copied.
    await writeFile(join(dir, 'tls.crt'), await readFile(options.tls.certificate));
    await writeFile(join(dir, 'tls.key'), await readFile(options.tls.key), { mode: 0o600 });
  }
  const config = workerdConfig({
    ...runtime,
    bind: options.bind,
    objectsDir,
    ...(options.tls && { tls: { certificate: 'tls.crt', key: 'tls.key' } }),
  });
  await writeFile(join(dir, 'edge.capnp'), config, { mode: 0o600 });
  return {
    program: workerdProgram(options.programDir),
    args: ['serve', join(dir, 'edge.capnp'), 'config'],
    env: edgeEnvironment(options.env),
  };
}

/** The variables of workerd, and those that the Worker reads. The client's address is that of the connection: no proxy in front is trusted. */
function edgeEnvironment(env: EdgeServeOptions['env']): Record<string, string> {
  const variables = EDGE_VARIABLES.flatMap((name) => {
    const value = env[name];
    return value ? [[name, value] as const] : [];
  });
  return { ...Object.fromEntries(variables), ...ALLOCATOR, CLIENT_ADDRESS_FROM: 'workerd' };
}

/** Runs workerd until it exits or `signal` aborts. Resolves with the exit code; rejects if workerd cannot be started. */
export function runEdge({ program, args, env }: EdgeCommand, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new Error('workerd was not found: run `npm install workerd`') : error),
    );
    child.once('exit', (code) => resolve(signal.aborted ? 0 : (code ?? 1)));
  });
}
