import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { type Client, createClient, findTarget, type Target } from './client.ts';
import { CommandFailed, Misuse } from './errors.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** What every command's action needs; made from the command it runs for. */
export interface Context {
  /** `--json` was given: print data, no words for people. */
  json: boolean;
  terminal: Terminal;
  /** Throws CommandFailed when no agent can be found. */
  target(): Promise<Target>;
  client(): Promise<Client>;
  /** Prints `data` under --json, else what `human` makes of it. */
  print<T>(data: T, human: (data: T) => string): void;
  /** Asks before something that hurts; `--yes` answers. Without a terminal and without --yes it is misuse. */
  confirm(question: string): Promise<void>;
}

interface GlobalOptions {
  json?: boolean;
  stateDir?: string;
  yes?: boolean;
}

export function contextOf(command: Command): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const terminal = createTerminal();
  const target = () => findTarget({ stateDir: options.stateDir });
  return {
    json: options.json === true,
    terminal,
    target,
    client: async () => createClient(await target()),
    print: (data, human) => terminal.write(options.json ? JSON.stringify(data, null, 2) : human(data)),
    confirm: async (question) => {
      if (options.yes) return;
      if (!terminal.interactive || process.stdin.isTTY !== true) {
        throw new Misuse(`${question} Give --yes to say so where nobody can be asked.`);
      }
      const ask = createInterface({ input: process.stdin, output: process.stderr });
      try {
        const answer = await ask.question(`${question} [y/N] `);
        if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFailed('nothing was done');
      } finally {
        ask.close();
      }
    },
  };
}
