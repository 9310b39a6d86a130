import type { Command } from 'commander';
import { snapshotOrderSchema } from '../../http/schemas.ts';
import { contextOf } from '../context.ts';
import { parseResponse } from '../response-schemas.ts';

export function registerPublish(program: Command): void {
  program
    .command('publish')
    .description('publish the snapshot to the edge at once')
    .addHelpText('after', '\nExample:\n  acgs-lb publish')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const order = parseResponse(
        snapshotOrderSchema,
        await (await context.client()).post('/v1/publish'),
        'answer',
      );
      context.print(
        order,
        ({ epoch, seq }) => `on its way; the last one published was epoch ${epoch} seq ${seq}`,
      );
    });
}
