import type { Command } from 'commander';
import { errorMessage } from '../../../shared/error-message.ts';
import { STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';

export function registerRelease(program: Command): void {
  program
    .command('release')
    .description("return every server to HAProxy's own health checks, when no agent runs any more")
    .option('-c, --config <file>', `${STACK_CONFIG_DESCRIPTION}; names the HAProxy sockets`)
    .addHelpText(
      'after',
      '\nThe agent releases the servers when it stops. Its systemd unit runs this command\nafter a crash.\n\nExample:\n  acgs-lb release --config /etc/acgs-lb/acgs-lb.yaml',
    )
    .action(async (options: { config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadCommandConfig } = await import('../history.ts');
      const { createRuntimeClient } = await import('../../haproxy/socket/runtime-client.ts');
      const { releaseVerdicts } = await import('../../haproxy/reconciler/release.ts');
      const { config } = await loadCommandConfig(command, options.config);
      const services = new Set(Object.keys(config.services));
      const { socket: own, masterSocket, others } = config.haproxy;
      const sockets = [{ socket: own, masterSocket }, ...others.map(({ socket }) => ({ socket }))];
      const outcomes = await Promise.allSettled(
        sockets.map(async (target) => {
          const client = createRuntimeClient(target);
          try {
            return await releaseVerdicts(client, services);
          } finally {
            client.close();
          }
        }),
      );
      const released = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
      if (failed.length === 0 || released.length > 0) {
        context.print({ released }, () =>
          released.length > 0 ? `released: ${released.join(' ')}` : 'the agent held no server',
        );
      }
      if (failed.length > 0)
        throw new CommandFailed(failed.map(({ reason }) => errorMessage(reason)).join('; '));
    });
}
