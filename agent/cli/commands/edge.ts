import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { bindAddress } from '../../../shared/config/scalars.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

interface EdgeOptions {
  bind: string;
  dataDir: string;
  tlsCert?: string;
  tlsKey?: string;
}

/** Beside the bundle when installed; in a checkout the folder of the agent, from which the checkout is found. */
function programDir(): string {
  const here = process.env.ACGS_PROGRAM_DIR ?? import.meta.dirname;
  return existsSync(join(here, 'edge/index.js')) ? here : join(here, '../..');
}

export function registerEdge(program: Command): void {
  program
    .command('edge')
    .description('serve the edge on this host, with workerd instead of Cloudflare, until Ctrl-C')
    .option('--bind <address>', 'where clients reach it', '127.0.0.1:8787')
    .option('--data-dir <dir>', 'where its snapshot and limits are kept', '.acgs/edge')
    .option('--tls-cert <file>', 'certificate chain (PEM): serve https')
    .option('--tls-key <file>', 'its private key (PEM)')
    .addHelpText(
      'after',
      `
It reads SITES SNAPSHOT_PUBLIC_KEYS FALLBACK_ORIGIN COOKIE_KEYS GATEWAY_JWT_KEY EDGE_TOKEN LOG_SAMPLE from the
environment, as the deployed Worker reads its variables and secrets. A client is whoever opens the connection.

Example:
  SITES=main FALLBACK_ORIGIN=http://10.0.0.5:8090 acgs-lb edge --bind '*:8787' --data-dir /var/lib/acgs-lb/edge`,
    )
    .action(async (options: EdgeOptions) => {
      const bind = bindAddress.safeParse(options.bind);
      if (!bind.success) throw new CliUsageError(`--bind: ${options.bind} is no address such as *:8787`);
      if (Boolean(options.tlsCert) !== Boolean(options.tlsKey)) {
        throw new CliUsageError('--tls-cert and --tls-key go together');
      }
      if (!process.env.SITES && !process.env.FALLBACK_ORIGIN) {
        throw new CliUsageError(
          'SITES and FALLBACK_ORIGIN are both unset: there is nowhere to send requests',
        );
      }
      const { prepareEdge, runEdge } = await import('../../edge/serve.ts');
      const prepared = await prepareEdge({
        bind: options.bind.replace(/^:/, '*:'),
        stateDir: options.dataDir,
        programDir: programDir(),
        env: process.env,
        ...(options.tlsCert &&
          options.tlsKey && { tls: { certificate: options.tlsCert, key: options.tlsKey } }),
      });
      const ending = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort());
      const code = await runEdge(prepared, ending.signal);
      if (code !== 0) throw new CommandFailed(`workerd ended with exit code ${code}`);
    });
}
