import { Argument, type Command } from 'commander';
import { complete, SCRIPTS, SHELLS } from '../completion.ts';
import { type CommandContext, contextOf } from '../context.ts';

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('completion for your shell: commands, options, running services and instances')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .addHelpText(
      'after',
      '\nExamples:\n  source <(acgs-lb completion bash)          # in ~/.bashrc to keep it\n  acgs-lb completion fish > ~/.config/fish/completions/acgs-lb.fish',
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

/** Names from the running agent; none when it cannot be asked: completion never complains. */
function namesOf(context: CommandContext) {
  const names = async (path: string, list: string): Promise<string[]> => {
    try {
      const answer = (await (await context.client()).get(path)) as Record<string, { id: string }[]> | null;
      return (answer?.[list] ?? []).map(({ id }) => id);
    } catch {
      return [];
    }
  };
  return {
    services: () => names('/v1/services', 'services'),
    instances: (service: string) =>
      names(`/v1/services/${encodeURIComponent(service)}/instances`, 'instances'),
  };
}
