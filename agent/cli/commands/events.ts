import type { Command } from 'commander';
import { integerBetween } from '../arguments.ts';
import { parseAnswer } from '../client.ts';
import { contextOf } from '../context.ts';
import { CommandFailed } from '../errors.ts';
import { readEventStream } from '../event-stream.ts';
import { formatChange } from '../status-view.ts';

export function registerEvents(program: Command): void {
  program
    .command('events')
    .description('follow the state changes of instances, until Ctrl-C')
    .option('--no-follow', 'print recent events and exit')
    .option('--limit <n>', 'maximum number of past events', integerBetween(0, 1000), 20)
    .addHelpText('after', '\nExamples:\n  acgs-lb events\n  acgs-lb events --no-follow --limit 100 --json')
    .action(async (options: { follow: boolean; limit: number }, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      const query = new URLSearchParams({
        limit: String(options.limit),
        ...(options.follow ? {} : { follow: 'false' }),
      });
      const response = await client.open(`/v1/events?${query}`);
      for await (const message of readEventStream(response.body)) {
        if (message.event !== 'change') continue;
        const value: unknown = JSON.parse(message.data);
        const change = await parseAnswer('changeSchema', value, { request: 'GET /v1/events', response });
        context.terminal.write(
          context.json ? JSON.stringify(change) : formatChange(change, context.terminal),
        );
      }
      if (options.follow) throw new CommandFailed('the agent closed the stream');
    });
}
