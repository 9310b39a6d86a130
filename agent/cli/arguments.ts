import { type Command, type HelpConfiguration, InvalidArgumentError } from 'commander';
import { CliUsageError } from './errors.ts';

/** Parser for commander: an integer from `min` to `max`. */
export const integerBetween =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };

/** Commander passes `sessions nope` to the default command with `nope` as an extra argument. Throws CliUsageError. */
export function rejectUnknownSubcommand(command: Command): void {
  const [unknown] = command.args;
  if (unknown === undefined) return;
  const parent = command.parent?.name() ?? '';
  const known = (command.parent?.commands ?? []).map((sub) => sub.name()).filter((name) => name !== 'help');
  throw new CliUsageError(
    `acgs-lb ${parent}: unknown command ${unknown}; expected one of ${known.join(', ')}`,
  );
}

/** For a subcommand: its help shows the program's options, which apply to it, without those of `parent`. */
export const helpWithoutParentOptions = (parent: Command): HelpConfiguration => ({
  ...parent.configureHelp(),
  visibleGlobalOptions: () => parent.parent?.options.slice() ?? [],
});
