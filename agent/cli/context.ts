import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { type AgentTarget, type ApiClient, createApiClient, findAgentTarget } from './client.ts';
import { CliUsageError, CommandFailed } from './errors.ts';
import { type ReportProgress, withProgress } from './progress.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** What every command's action needs; made from the command it runs for. */
export interface CommandContext {
  /** `--json` was given: print data, no words for people. */
  json: boolean;
  terminal: Terminal;
  /** Throws CommandFailed when no agent can be found. */
  target(): Promise<AgentTarget>;
  client(): Promise<ApiClient>;
  /** Prints `data` under --json, else what `human` makes of it. */
  print<T>(data: T, human: (data: T) => string): void;
  /** Shows how far long work is: on a terminal, and not under --json. */
  progress<T>(work: (tell: ReportProgress) => Promise<T>): Promise<T>;
  /** Asks before something that hurts; `--yes` answers. Without a terminal and without --yes it is misuse. */
  confirm(question: string): Promise<void>;
}

interface GlobalOptions {
  json?: boolean;
  stateDir?: string;
  yes?: boolean;
}

export function contextOf(command: Command): CommandContext {
  const options = command.optsWithGlobals<GlobalOptions>();
  const terminal = createTerminal();
  const target = () => findAgentTarget({ stateDir: options.stateDir });
  const progress: CommandContext['progress'] = (work) =>
    options.json ? work(() => {}) : withProgress(terminal, work);
  return {
    json: options.json === true,
    terminal,
    target,
    client: async () => {
      const found = await target();
      return createApiClient(found, (input, init) =>
        progress((tell) => {
          tell('waiting for the agent');
          return fetch(input, init);
        }),
      );
    },
    print: (data, human) => terminal.write(options.json ? JSON.stringify(data, null, 2) : human(data)),
    progress,
    confirm: async (question) => {
      if (options.yes) return;
      if (process.stderr.isTTY !== true || process.stdin.isTTY !== true) {
        throw new CliUsageError(`${question} Give --yes to say so where nobody can be asked.`);
      }
      const ask = createInterface({ input: process.stdin, output: process.stderr });
      try {
        // Ctrl-C and Ctrl-D end the question without an answer.
        const closed = new Promise<string>((resolve) =>
          ask.once('close', () => {
            process.stderr.write('\n');
            resolve('');
          }),
        );
        const answer = await Promise.race([ask.question(`${question} [y/N] `), closed]);
        if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailed('nothing was done');
      } finally {
        ask.close();
      }
    },
  };
}
