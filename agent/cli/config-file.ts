import { readFile } from 'node:fs/promises';
import type { Config } from '../../shared/config/config.ts';
import { ConfigError, parseConfig } from '../../shared/config/load.ts';
import { CliUsageError } from './errors.ts';

/** Reads and validates a configuration. Throws CliUsageError with all errors, one per line. */
export async function loadConfigFile(file: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliUsageError(`cannot read ${file}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  try {
    return parseConfig(text, file);
  } catch (error) {
    if (error instanceof ConfigError) throw new CliUsageError(error.message, { cause: error });
    throw error;
  }
}
