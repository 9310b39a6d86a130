/** The command failed. The message is one clear line; the exit code is 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed';
}

/** A response outside 2xx. The message comes from its problem document. */
export class ApiError extends CommandFailed {
  override name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Wrong arguments or an invalid configuration. The exit code is 2. */
export class CliUsageError extends Error {
  override name = 'CliUsageError';
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
