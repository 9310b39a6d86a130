import type { Command } from 'commander';
import { CliUsageError } from '../errors.ts';

export function registerHelp(program: Command): void {
  program
    .command('help')
    .description('show the options and examples of a command, such as `acgs-lb help drain`')
    .argument('[command...]', 'the command, with its subcommand if it has one')
    .addHelpText('after', '\nExamples:\n  acgs-lb help drain\n  acgs-lb help sessions advance')
    .action((names: string[]) => {
      names.reduce(subcommand, program).help();
    });
}

function subcommand(command: Command, name: string): Command {
  const found = command.commands.find((one) => one.name() === name);
  if (found) return found;
  const known = command.commands.map((one) => one.name()).filter((one) => !one.startsWith('_'));
  const expected =
    known.length > 0 ? `expected one of ${known.join(' ')}` : `${command.name()} has no commands`;
  throw new CliUsageError(`unknown command ${name}; ${expected}`);
}
