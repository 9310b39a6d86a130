import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

const runtimeSchema = z.object({
  compatibilityDate: z.string(),
  compatibilityFlags: z.array(z.string()),
  /** The rest of what a deployment to Cloudflare needs, in the form of wrangler's configuration. */
  deployment: z.looseObject({ vars: z.record(z.string(), z.string()) }),
});

export interface WorkerBundle extends z.output<typeof runtimeSchema> {
  code: Buffer;
}

/**
 * Loads the bundled Worker and its runtime settings: `edge/index.js` and `edge/worker.json` beside the program. In a
 * checkout it builds them first. Throws an Error with advice when neither is possible.
 */
export async function loadWorkerBundle(programDir: string): Promise<WorkerBundle> {
  const installed = join(programDir, 'edge');
  if (existsSync(join(installed, 'index.js'))) return readBundle(installed);
  const checkout = findCheckout(programDir);
  if (!checkout) {
    throw new Error(`${installed}/index.js is missing: run \`npm run build\` and install again`);
  }
  const outDir = await mkdtemp(join(tmpdir(), 'acgs-edge-'));
  try {
    await promisify(execFile)(process.execPath, [join(checkout, 'dev/edge/bundle.ts'), outDir]);
    return await readBundle(outDir);
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

async function readBundle(dir: string): Promise<WorkerBundle> {
  const [code, settings] = await Promise.all([
    readFile(join(dir, 'index.js')),
    readFile(join(dir, 'worker.json'), 'utf8'),
  ]);
  return { code, ...runtimeSchema.parse(JSON.parse(settings)) };
}

/** The nearest folder at or above `dir` that has the Worker's source, or null. */
function findCheckout(dir: string): string | null {
  for (let at = dir; ; at = dirname(at)) {
    if (existsSync(join(at, 'wrangler.toml')) && existsSync(join(at, 'worker'))) return at;
    if (at === dirname(at)) return null;
  }
}

/** The workerd program: beside the Worker, in the packages of the checkout, or on the PATH. */
export function workerdProgram(programDir: string): string {
  const checkout = findCheckout(programDir);
  const paths = [
    join(programDir, 'edge/workerd'),
    ...(checkout ? [join(checkout, 'node_modules/workerd/bin/workerd')] : []),
  ];
  return paths.find((path) => existsSync(path)) ?? 'workerd';
}

/** The command line of wrangler: from node_modules of the checkout, otherwise from the PATH. */
export function wranglerProgram(programDir: string): [program: string, ...args: string[]] {
  const checkout = findCheckout(programDir);
  const script = checkout && join(checkout, 'node_modules/wrangler/bin/wrangler.js');
  return script && existsSync(script) ? [process.execPath, script] : ['wrangler'];
}
