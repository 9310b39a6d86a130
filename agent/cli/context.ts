import type { Command } from 'commander';
import { type ApiClient, createApiClient, findAgentTarget } from './client.ts';
import { CliUsageError, CommandFailed } from './errors.ts';
import { sendHttpRequest } from './http-request.ts';
import { type ReportProgress, withProgress } from './progress.ts';
import type { RunningStack } from './stack-file.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** What a command's action needs: output, the agent's API, confirmation. */
export interface CommandContext {
  /** `--json` was given: print data instead of text. */
  json: boolean;
  terminal: Terminal;
  /** Throws CommandFailed when no agent can be found. */
  client(): Promise<ApiClient>;
  /** As `client`, without progress of its own: for a command that shows the progress of many requests. */
  quietClient(): Promise<ApiClient>;
  /** The local stack that `client` talks to; null for an agent found by its URL. */
  localStack(): Promise<RunningStack | null>;
  /** The command's own state folder; it need not exist. */
  stateDir: string;
  /** Prints `data` as JSON under --json, else the text that `format` returns. */
  print<T>(data: T, format: (data: T) => string): void;
  /** Shows the progress of long work on a terminal. Shows nothing under --json. */
  progress<T>(work: (report: ReportProgress) => Promise<T>): Promise<T>;
  /**
   * Asks before a destructive step, unless --yes is given. Throws CommandFailed when the answer is no, and
   * CliUsageError when there is no terminal to ask on.
   */
  confirm(question: string): Promise<void>;
  /** Asks for a value that no option gives. Throws CliUsageError with `missing` when there is no terminal to ask on. */
  ask(question: string, missing: string): Promise<string>;
}

interface GlobalOptions {
  json?: boolean;
  stateDir?: string;
  yes?: boolean;
}

export function contextOf(command: Command): CommandContext {
  const options = command.optsWithGlobals<GlobalOptions>();
  const terminal = createTerminal();
  const progress: CommandContext['progress'] = (work) =>
    options.json ? work(() => {}) : withProgress(terminal, work);
  return {
    json: options.json === true,
    terminal,
    client: async () => {
      const target = await findAgentTarget(options.stateDir);
      return createApiClient(target, (url, options) =>
        progress((report) => {
          report('waiting for the agent');
          return sendHttpRequest(url, options);
        }),
      );
    },
    print: (data, format) => terminal.write(options.json ? JSON.stringify(data, null, 2) : format(data)),
    quietClient: async () => createApiClient(await findAgentTarget(options.stateDir)),
    progress,
    localStack: async () => (await findAgentTarget(options.stateDir)).stack ?? null,
    stateDir: options.stateDir ?? process.env.ACGS_STATE_DIR ?? '.acgs',
    confirm: async (question) => {
      if (options.yes) return;
      if (process.stderr.isTTY !== true || process.stdin.isTTY !== true) {
        throw new CliUsageError(`${question} Not a terminal: confirm with --yes.`);
      }
      const answer = await promptLine(`${question} [y/N] `);
      if (!/^y(es)?$/i.test(answer)) throw new CommandFailed('cancelled; nothing was changed');
    },
    ask: async (question, missing) => {
      if (options.json || process.stderr.isTTY !== true || process.stdin.isTTY !== true) {
        throw new CliUsageError(missing);
      }
      const answer = await promptLine(`${question}: `);
      if (answer === '') throw new CommandFailed('cancelled; nothing was changed');
      return answer;
    },
  };
}

/** One line from the terminal; empty after Ctrl-C and Ctrl-D, which close the prompt without an answer. */
async function promptLine(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const closed = new Promise<string>((resolve) =>
      prompt.once('close', () => {
        process.stderr.write('\n');
        resolve('');
      }),
    );
    return (await Promise.race([prompt.question(question), closed])).trim();
  } finally {
    prompt.close();
  }
}
