import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { bindAddress } from '../../../shared/config/scalars.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { registerEdgeDeploy } from './edge-deploy.ts';
import { registerEdgeSites } from './edge-sites.ts';

interface EdgeOptions {
  bind: string;
  dataDir: string;
  tlsCert?: string;
  tlsKey?: string;
}

/** An installation has `edge/` beside the program. In a checkout, returns the agent's folder. */
function programDir(): string {
  const here = process.env.ACGS_PROGRAM_DIR ?? import.meta.dirname;
  return existsSync(join(here, 'edge/index.js')) ? here : join(here, '../..');
}

export function registerEdge(program: Command): void {
  const edge = registerServe(program);
  registerEdgeDeploy(edge, programDir);
  registerEdgeSites(edge);
}

function registerServe(program: Command): Command {
  return program
    .command('edge')
    .description('run the edge on this host with workerd instead of Cloudflare, until Ctrl-C')
    .option('--bind <address>', 'address to listen on', '127.0.0.1:8787')
    .option('--data-dir <dir>', 'folder for the snapshot and rate-limit counters', '.acgs/edge')
    .option('--tls-cert <file>', 'certificate chain (PEM); serves https')
    .option('--tls-key <file>', 'private key of the certificate (PEM)')
    .addHelpText(
      'after',
      `
The edge reads SITES SNAPSHOT_PUBLIC_KEYS SITE_DIRECTORY_KEYS FALLBACK_ORIGIN
COOKIE_KEYS GATEWAY_JWT_KEY EDGE_TOKEN LOG_SAMPLE TRACE_SAMPLE
TRUST_TRACEPARENT MAX_HEADER_BYTES MAX_SLOW_UPLOADS FALLBACK_LIMIT from the
environment.
They have the same meaning as the variables and secrets of the deployed Worker.
The client address is the address of the connection; headers cannot change it.

Example:
  SITES=main FALLBACK_ORIGIN=http://10.0.0.5:8090 \\
    acgs-lb edge --bind '*:8787' --data-dir /var/lib/acgs-lb-edge`,
    )
    .action(async (options: EdgeOptions) => {
      const bind = bindAddress.safeParse(options.bind);
      if (!bind.success) throw new CliUsageError(`--bind: ${options.bind} is not an address such as *:8787`);
      if (Boolean(options.tlsCert) !== Boolean(options.tlsKey)) {
        throw new CliUsageError('--tls-cert and --tls-key must be given together');
      }
      if (!process.env.SITES && !process.env.FALLBACK_ORIGIN) {
        throw new CliUsageError('set SITES or FALLBACK_ORIGIN: the edge has no origin for requests');
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
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      const code = await runEdge(prepared, stop.signal);
      if (code !== 0) throw new CommandFailed(`workerd ended with exit code ${code}`);
    });
}
