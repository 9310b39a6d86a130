import { type Argument, Command, CommanderError } from 'commander';
import { StoreUrlError } from '../lib/store-url.ts';
import { packageVersion } from '../lib/version.ts';
import { ApiError } from './client.ts';
import { registerCommands } from './commands/index.ts';
import { CliUsageError, CommandFailed, EXIT_FAILED, EXIT_OK, EXIT_USAGE } from './errors.ts';

export function buildProgram(): Command {
  const program = new Command('acgs-lb')
    .description('Load balancing and high availability for HTTP services.')
    .option('--json', 'print data as JSON')
    .option('--state-dir <dir>', "the local stack's folder (ACGS_STATE_DIR; default .acgs)")
    .option('-y, --yes', 'do not ask before destructive steps')
    .showHelpAfterError('(add --help for what it takes)')
    .showSuggestionAfterError()
    .configureHelp({
      showGlobalOptions: true,
      sortSubcommands: false,
      // Without `[options]`, which nearly all have, so that there is room for what a command does.
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
      minWidthToWrap: 20,
    })
    .addHelpText(
      'after',
      `
Finds its agent through --state-dir or ACGS_STATE_DIR (a stack started with
\`npm start\`), or through ACGS_AGENT_URL and ACGS_TOKEN (an agent elsewhere).
Exit codes: 0 done, 1 failed, 2 misuse or invalid configuration.
\`acgs-lb --version\` tells which this is.

Examples:
  acgs-lb status --watch                the whole system, kept fresh
  acgs-lb drain gs gs-1 --deadline 5m   no new sessions, later maintenance
  acgs-lb explain /api/v1/auth/login    which instance would answer, and why
  acgs-lb check --config acgs-lb.yaml   is this configuration good?`,
    );
  registerCommands(program);
  for (const command of everyCommand(program)) command.exitOverride();
  return program;
}

function argumentTerm(argument: Argument): string {
  const inner = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${inner}>` : `[${inner}]`;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Runs one command line (without `node` and the script). Answers the exit code; never throws, never exits. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = buildProgram();
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return EXIT_OK;
    }
    // Not an option of the program: it would take that of `sessions advance --version <n>` away.
    if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
      process.stdout.write(`acgs-lb ${packageVersion()}\n`);
      return EXIT_OK;
    }
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? EXIT_OK);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    return report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CliUsageError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT_USAGE;
  }
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`acgs-lb: ${message}\n`);
  // What the agent finds wrong with the question itself, configurations too, is as wrong as what is found wrong here.
  if (error instanceof ApiError && error.status === 400) return EXIT_USAGE;
  if (rootOf(error) instanceof StoreUrlError) return EXIT_USAGE;
  // What no command foresaw is a fault of ours: the stack helps whoever mends it.
  if (!(error instanceof CommandFailed) && error instanceof Error && process.env.ACGS_DEBUG) {
    process.stderr.write(`${error.stack}\n`);
  }
  return EXIT_FAILED;
}

const rootOf = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;

if (import.meta.main) {
  // A reader that closes early (`acgs-lb events | head`) is no failure; a disk that is full is.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_OK);
    process.stderr.write(`acgs-lb: cannot write the output: ${error.message}\n`);
    process.exit(EXIT_FAILED);
  });
  process.exitCode = await main(process.argv.slice(2));
}
