import { type Argument, Command, CommanderError } from 'commander';
import { wrapAnsi } from 'fast-wrap-ansi';
import { errorMessage } from '../../shared/error-message.ts';
import { StoreUrlError } from '../lib/store-url.ts';
import { packageVersion } from '../lib/version.ts';
import { registerCommands } from './commands/index.ts';
import { ApiError, CliUsageError, CommandFailed, EXIT_FAILED, EXIT_OK, EXIT_USAGE } from './errors.ts';

/** Shown by `--help` and in docs/cli.md. */
export const AGENT_LOOKUP =
  'The command finds a local stack (`npm start`) by --state-dir or ACGS_STATE_DIR, default .acgs. ' +
  'It finds a remote agent by ACGS_AGENT_URL and ACGS_TOKEN.';
export const EXIT_CODES =
  'Exit codes: 0 success, 1 failure, 2 wrong usage or invalid configuration, 130 Ctrl-C.';

const HELP_COLUMNS = 78;

/** The program with the command that the arguments name; with all commands when there are no arguments to look at. */
export async function buildProgram(argv?: readonly string[]): Promise<Command> {
  const program = new Command('acgs-lb')
    .description('Load balancing and high availability for HTTP services.')
    .option('--json', 'print JSON instead of text')
    .option('--state-dir <dir>', 'state folder of the local stack (default: ACGS_STATE_DIR, else .acgs)')
    .option('-y, --yes', 'answer yes to confirmation prompts')
    .showHelpAfterError('(see --help)')
    .showSuggestionAfterError()
    .configureHelp({
      showGlobalOptions: true,
      sortSubcommands: false,
      // Omit `[options]`: it appears on nearly every line and takes space from the description.
      // The list of all commands has one line each, without arguments.
      subcommandTerm: (command) =>
        [
          command.name(),
          ...(command.parent?.parent ? command.registeredArguments.map(argumentTerm) : []),
        ].join(' '),
      minWidthToWrap: 20,
    })
    .helpCommand(false)
    .addHelpText(
      'after',
      `
${wrapAnsi(AGENT_LOOKUP, HELP_COLUMNS)}
${wrapAnsi(EXIT_CODES, HELP_COLUMNS)}
\`acgs-lb --version\` prints the version.

Examples:
  acgs-lb status --watch                watch the whole system
  acgs-lb drain gs gs-1 --deadline 5m   drain, then maintenance after 5 minutes
  acgs-lb explain /api/v1/auth/login    the instance for a request, and why
  acgs-lb check --config acgs-lb.yaml   validate a configuration`,
    );
  await registerCommands(program, argv);
  for (const command of withSubcommands(program)) command.exitOverride();
  return program;
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Runs one command line (arguments only) and returns the exit code. It never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = await buildProgram(argv);
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return EXIT_OK;
    }
    // A program option would shadow `sessions advance --version <n>`.
    if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
      process.stdout.write(`acgs-lb ${packageVersion()}\n`);
      return EXIT_OK;
    }
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? EXIT_OK);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    return reportError(error);
  }
}

function reportError(error: unknown): number {
  if (error instanceof CliUsageError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT_USAGE;
  }
  process.stderr.write(`acgs-lb: ${errorMessage(error)}\n`);
  // The agent rejected the request or the configuration, or does not know a name in it: wrong usage, as if the command
  // had found it.
  if (error instanceof ApiError && (error.status === 400 || error.status === 404)) return EXIT_USAGE;
  if (rootOf(error) instanceof StoreUrlError) return EXIT_USAGE;
  // An unexpected error is a bug: print the stack trace on request.
  if (!(error instanceof CommandFailed) && error instanceof Error && process.env.ACGS_DEBUG) {
    process.stderr.write(`${error.stack}\n`);
  }
  return EXIT_FAILED;
}

const rootOf = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;

/** Runs the command line of this process and sets its exit code. */
export async function runProcess(): Promise<void> {
  // EPIPE means that the reader closed early (`acgs-lb events | head`): success. A full disk is a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_OK);
    process.stderr.write(`acgs-lb: cannot write the output: ${error.message}\n`);
    process.exit(EXIT_FAILED);
  });
  process.exitCode = await main(process.argv.slice(2));
}

if (import.meta.main) await runProcess();
