import type { Command } from 'commander';
import { contextOf } from '../context.ts';

export function registerPublish(program: Command): void {
  program
    .command('publish')
    .description('publish the snapshot to the edge now')
    .addHelpText('after', '\nExample:\n  acgs-lb publish')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      context.print(
        await client.post('/v1/publish', 'snapshotOrderSchema'),
        ({ epoch, seq }) => `publishing; the last published snapshot is epoch ${epoch} seq ${seq}`,
      );
    });
}
