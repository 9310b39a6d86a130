import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** What Cloudflare would be given: `wrangler deploy --dry-run` bundles the Worker; nothing leaves the machine. */
export function bundleWorker(root: string, outDir: string): Promise<string> {
  const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js');
  const args = [wrangler, 'deploy', '--dry-run', '--outdir', outDir, '--config', join(root, 'wrangler.toml')];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      args,
      { cwd: root, env: quietWranglerEnv(outDir) },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`wrangler could not bundle the Worker:\n${stdout}${stderr}`.trim()));
        else resolve(join(outDir, 'index.js'));
      },
    );
  });
}

/** Wrangler neither reports home nor draws banners nor looks for a newer self. */
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
