import { type Command, InvalidArgumentError } from 'commander';
import { CliUsageError } from './errors.ts';

/** For commander: a whole number within bounds. */
export const integerBetween =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
  };

/** `sessions nope` reaches the default of its commands, with `nope` as one argument too many. */
export function rejectUnknownSubcommand(command: Command): void {
  const [word] = command.args;
  if (word === undefined) return;
  const above = command.parent?.name() ?? '';
  const known = (command.parent?.commands ?? []).map((one) => one.name()).filter((name) => name !== 'help');
  throw new CliUsageError(`acgs-lb ${above}: there is no command ${word}; there are ${known.join(', ')}`);
}
