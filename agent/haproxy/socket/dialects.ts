/** How the commands and responses of one kind of HAProxy socket look in interactive mode. */
export interface SocketDialect {
  /** The first commands of a connection. */
  readonly greeting: readonly string[];
  /** How many commands may be sent before the response to the first of them. */
  readonly maxSent: number;
  /** The prompt after the first response in `received`, of which the text from `from` on is new; null: none yet. */
  findPrompt(received: string, from: number): SocketPrompt | null;
}

export interface SocketPrompt {
  start: number;
  length: number;
}

const PROMPT = '\n> ';

/** The admin socket of a worker. */
export const ADMIN_DIALECT: SocketDialect = {
  greeting: ['prompt'],
  maxSent: Number.POSITIVE_INFINITY,
  findPrompt(received, from) {
    // A response of megabytes arrives in many chunks, so the search starts just before the new text.
    const start = received.indexOf(PROMPT, Math.max(0, from - PROMPT.length));
    return start < 0 ? null : { start, length: PROMPT.length };
  },
};

/** The master's prompt names the process that answers, such as `1234> `. */
const MASTER_PROMPT = /(?:^|\n)(?:master|\d+)> $/;
const MASTER_PROMPT_LENGTH = 24;

/** The socket of the master process. It takes one command at a time; after `@1` it forwards them to its newest worker. */
export const MASTER_DIALECT: SocketDialect = {
  greeting: ['prompt', '@1'],
  maxSent: 1,
  findPrompt(received) {
    const length = MASTER_PROMPT.exec(received.slice(-MASTER_PROMPT_LENGTH))?.[0].length;
    return length === undefined ? null : { start: received.length - length, length };
  },
};
