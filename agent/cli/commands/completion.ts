import { Argument, type Command } from 'commander';
import type { ApiClient } from '../client.ts';
import { complete, SCRIPTS, SHELLS } from '../completion.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { readInstances } from '../instance-api.ts';

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('print the shell completion script for commands, options, services and instances')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .addHelpText(
      'after',
      '\nExamples:\n  source <(acgs-lb completion bash)          # add it to ~/.bashrc\n  acgs-lb completion fish > ~/.config/fish/completions/acgs-lb.fish',
    )
    .action((shell: string, _options: unknown, command: Command) => {
      const found = SHELLS.find((known) => known === shell);
      if (found) contextOf(command).terminal.write(SCRIPTS[found]);
    });
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: string[], _options: unknown, command: Command) => {
      const context = contextOf(command);
      const found = await complete(program, words.length > 0 ? words : [''], namesOf(context));
      const lines = found.map(({ value, description: about }) => (about ? `${value}\t${about}` : value));
      if (lines.length > 0) context.terminal.write(lines.join('\n'));
    });
}

/** Names from the running agent. Empty when the agent does not answer: completion never fails. */
function namesOf(context: CommandContext) {
  const names = async (read: (client: ApiClient) => Promise<{ id: string }[]>): Promise<string[]> => {
    try {
      return (await read(await context.client())).map(({ id }) => id);
    } catch {
      return [];
    }
  };
  return {
    services: () => names(async (client) => (await client.get('/v1/services', 'serviceListSchema')).services),
    instances: (service: string) => names((client) => readInstances(client, service)),
  };
}
