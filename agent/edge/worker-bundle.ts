import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface WorkerBundle {
  code: Buffer;
  compatibilityDate: string;
  compatibilityFlags: string[];
}

/**
 * The Worker as Cloudflare would be given it, with what wrangler.toml says of the runtime. An installation has it
 * beside the program (`edge/index.js`, `edge/wrangler.toml`); a checkout bundles it with wrangler. Throws with what to do.
 */
export async function loadWorkerBundle(programDir: string): Promise<WorkerBundle> {
  const installed = join(programDir, 'edge');
  if (existsSync(join(installed, 'index.js'))) {
    return { code: await readFile(join(installed, 'index.js')), ...(await runtimeOf(installed)) };
  }
  const root = checkoutOf(programDir);
  if (!root)
    throw new Error(
      `no Worker to serve: ${installed}/index.js is missing; run npm run build and install again`,
    );
  return { code: await bundle(root), ...(await runtimeOf(root)) };
}

/** The folder with wrangler.toml and worker/ that holds `dir`, or null. */
function checkoutOf(dir: string): string | null {
  for (let at = dir; ; at = dirname(at)) {
    if (existsSync(join(at, 'wrangler.toml')) && existsSync(join(at, 'worker'))) return at;
    if (at === dirname(at)) return null;
  }
}

/** The two lines of wrangler.toml that matter to workerd itself. */
async function runtimeOf(dir: string): Promise<Omit<WorkerBundle, 'code'>> {
  const toml = await readFile(join(dir, 'wrangler.toml'), 'utf8');
  const compatibilityDate = /^compatibility_date\s*=\s*"([\d-]+)"/m.exec(toml)?.[1];
  if (!compatibilityDate) throw new Error(`${dir}/wrangler.toml names no compatibility_date`);
  const flags = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(toml)?.[1] ?? '';
  return {
    compatibilityDate,
    compatibilityFlags: [...flags.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? ''),
  };
}

async function bundle(root: string): Promise<Buffer> {
  const out = await mkdtemp(join(tmpdir(), 'acgs-edge-'));
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');
  const args = [
    wrangler,
    'deploy',
    '--dry-run',
    '--env=',
    '--outdir',
    out,
    '--config',
    join(root, 'wrangler.toml'),
  ];
  const env = { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true' };
  try {
    await promisify(execFile)(process.execPath, args, { cwd: root, env });
    return await readFile(join(out, 'index.js'));
  } catch (error) {
    const said = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(
      `wrangler could not bundle the Worker:\n${said.stdout ?? ''}${said.stderr ?? said.message}`.trim(),
    );
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** The workerd to run: beside the program, in the checkout's packages, or on the PATH. */
export function workerdProgram(programDir: string): string {
  const root = checkoutOf(programDir);
  const places = [
    join(programDir, 'edge/workerd'),
    ...(root ? [join(root, 'node_modules/workerd/bin/workerd')] : []),
  ];
  return places.find((place) => existsSync(place)) ?? 'workerd';
}
