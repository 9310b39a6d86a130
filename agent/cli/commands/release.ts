import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';

export function registerRelease(program: Command): void {
  program
    .command('release')
    .description("give every server back to HAProxy's own checks, for when the agent is gone for good")
    .option('-c, --config <file>', "which names the sockets (default: the running stack's, else as check)")
    .addHelpText(
      'after',
      '\nThe agent does this itself when it ends in order; its unit runs this after a crash.\n\nExample:\n  acgs-lb release --config /etc/acgs-lb/acgs-lb.yaml',
    )
    .action(async (options: { config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig } = await import('../history.ts');
      const { createRuntimeClient } = await import('../../haproxy/socket/runtime-client.ts');
      const { releaseVerdicts } = await import('../../haproxy/reconciler/release.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const services = new Set(Object.keys(config.services));
      const sockets = [config.haproxy.socket, ...config.haproxy.others.map(({ socket }) => socket)];
      const outcomes = await Promise.allSettled(
        sockets.map(async (socket) => {
          const client = createRuntimeClient({ socket });
          try {
            return await releaseVerdicts(client, services);
          } finally {
            client.close();
          }
        }),
      );
      const released = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
      context.print({ released }, () =>
        released.length > 0 ? `released: ${released.join(' ')}` : 'nothing was held',
      );
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
      if (failed.length > 0) throw new CommandFailed(failed.map(({ reason }) => String(reason)).join('; '));
    });
}
