/** Something the command set out to do did not succeed: one clear line, exit code 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed';
}

/** The command was asked for wrongly, or the configuration is invalid: exit code 2. */
export class CliUsageError extends Error {
  override name = 'Misuse';
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
