import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, parseConfig } from '../shared/config/load.ts';
import { HELP, parseOptions, type StackOptions, UsageError } from './options.mjs';
import { runStack } from './stack/run.ts';

/** `npm start` under the pinned Node: validates options and configuration, then runs the stack until a stop signal. */
async function main(argv: string[]): Promise<number> {
  const options = parseOptions(argv);
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const text = read(options);
  return runStack({
    root: dirname(dirname(fileURLToPath(import.meta.url))),
    options,
    text,
    config: parseConfig(text, options.config),
  });
}

function read({ config }: StackOptions): string {
  try {
    return readFileSync(resolve(config), 'utf8');
  } catch (cause) {
    throw new UsageError(`--config ${config} cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsageError = error instanceof UsageError || error instanceof ConfigError;
  if (!isUsageError) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
