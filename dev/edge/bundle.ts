import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { unstable_readConfig } from 'wrangler';

/**
 * Bundles the Worker with `wrangler deploy --dry-run`, as for Cloudflare; nothing leaves the machine. Writes index.js and
 * worker.json (the settings of wrangler.toml, for `acgs-lb edge` and its `deploy`) into `outDir`. Returns the path of index.js.
 */
export async function bundleWorker(root: string, outDir: string): Promise<string> {
  const config = join(root, 'wrangler.toml');
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');
  const args = [
    wrangler,
    'deploy',
    '--dry-run',
    '--env=',
    '--outdir',
    outDir,
    '--metafile',
    '--config',
    config,
  ];
  try {
    await promisify(execFile)(process.execPath, args, { cwd: root, env: quietWranglerEnv(outDir) });
  } catch (cause) {
    const { stdout = '', stderr = '', message } = cause as Error & { stdout?: string; stderr?: string };
    throw new Error(`wrangler could not bundle the Worker:\n${`${stdout}${stderr}`.trim() || message}`, {
      cause,
    });
  }
  const settings = unstable_readConfig({ config });
  const runtime = {
    compatibilityDate: settings.compatibility_date,
    compatibilityFlags: settings.compatibility_flags,
    deployment: {
      vars: settings.vars,
      durable_objects: settings.durable_objects,
      migrations: settings.migrations,
      observability: settings.observability,
    },
  };
  await writeFile(join(outDir, 'worker.json'), `${JSON.stringify(runtime, null, 2)}\n`);
  return join(outDir, 'index.js');
}

/** Environment for wrangler without telemetry, banner and update check. */
export function quietWranglerEnv(logDir: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    CI: 'true',
    NO_COLOR: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    WRANGLER_LOG_PATH: logDir,
  };
}

// `node dev/edge/bundle.ts DIR`: for `acgs-lb edge` in a checkout.
if (import.meta.main) {
  const [, , outDir] = process.argv;
  if (!outDir) throw new Error('usage: node dev/edge/bundle.ts DIR');
  await bundleWorker(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), outDir);
}
