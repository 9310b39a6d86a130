import { z } from 'zod';
import { ApiError, CliUsageError, CommandFailed } from './errors.ts';
import { type RunningStack, readStackFile } from './stack-file.ts';

/** The agent's API address and the token for writes. */
export interface AgentTarget {
  url: string;
  token: string | null;
  /** The local stack that the agent belongs to; absent for an agent found by its URL. */
  stack?: RunningStack;
}

/**
 * Finds the agent by --state-dir, else ACGS_AGENT_URL, else ACGS_STATE_DIR, else `.acgs`. Throws CommandFailed when no
 * local stack runs there, and CliUsageError when ACGS_AGENT_URL is not a URL.
 */
export async function findAgentTarget(stateDir?: string, env = process.env): Promise<AgentTarget> {
  if (!stateDir && env.ACGS_AGENT_URL) {
    if (!/^https?:$/.test(URL.parse(env.ACGS_AGENT_URL)?.protocol ?? '')) {
      throw new CliUsageError(
        `ACGS_AGENT_URL: ${JSON.stringify(env.ACGS_AGENT_URL)} is not a URL such as http://127.0.0.1:9400`,
      );
    }
    return { url: env.ACGS_AGENT_URL.replace(/\/+$/, ''), token: env.ACGS_TOKEN ?? null };
  }
  const folder = stateDir ?? env.ACGS_STATE_DIR ?? '.acgs';
  const stack = await readStackFile(folder);
  if (!stack) {
    throw new CommandFailed(
      `no running stack in ${folder}/: start one with \`npm start\`, give its state folder with --state-dir, ` +
        'or set ACGS_AGENT_URL and ACGS_TOKEN for a remote agent',
    );
  }
  return { url: stack.agent.replace(/\/+$/, ''), token: env.ACGS_TOKEN ?? stack.adminToken ?? null, stack };
}

export interface ApiClient {
  get<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>>;
  post<Schema extends z.ZodType>(path: string, schema: Schema, body?: unknown): Promise<z.output<Schema>>;
  put<Schema extends z.ZodType>(path: string, schema: Schema, body?: unknown): Promise<z.output<Schema>>;
  delete(path: string): Promise<void>;
  /** Returns the raw response, for streams and text. Throws ApiError outside 2xx. */
  open(path: string, init?: RequestInit): Promise<Response>;
}

/**
 * Validates a response and returns it unchanged, so that `--json` keeps the fields of a newer agent. Throws CommandFailed
 * when the response does not match the schema.
 */
export function parseResponse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  request: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as z.output<Schema>;
  const issue = parsed.error.issues[0];
  throw new CommandFailed(
    `unexpected response of the agent to ${request} (${issue?.path.join('.')}: ${issue?.message}); ` +
      'check that agent and command have the same version',
  );
}

const TIMEOUT_MS = 15_000;

/** Client of the agent's API. Every failure is a CommandFailed with a message for the operator. */
export function createApiClient(
  target: AgentTarget,
  fetch: typeof globalThis.fetch = globalThis.fetch,
): ApiClient {
  const open = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (target.token) headers.set('authorization', `Bearer ${target.token}`);
    let response: Response;
    try {
      response = await fetch(target.url + path, { ...init, headers });
    } catch (cause) {
      throw new CommandFailed(`no answer from the agent at ${target.url}: ${fetchFailureReason(cause)}`, {
        cause,
      });
    }
    if (!response.ok) throw await toApiError(response, target);
    return response;
  };
  const call = async <Schema extends z.ZodType>(
    method: string,
    path: string,
    schema: Schema,
    body?: unknown,
  ): Promise<z.output<Schema>> => {
    const response = await open(path, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    let value: unknown;
    try {
      value = JSON.parse((await response.text()) || 'null');
    } catch (cause) {
      const reason = cause instanceof SyntaxError ? 'invalid JSON' : fetchFailureReason(cause);
      throw new CommandFailed(`the agent at ${target.url} sent an invalid response to ${path}: ${reason}`, {
        cause,
      });
    }
    return parseResponse(schema, value, `${method} ${path}`);
  };
  return {
    open,
    get: (path, schema) => call('GET', path, schema),
    post: (path, schema, body) => call('POST', path, schema, body),
    put: (path, schema, body) => call('PUT', path, schema, body),
    delete: async (path) => void (await call('DELETE', path, z.unknown())),
  };
}

/** Titles that only repeat the status. */
const GENERIC_TITLES = new Set(['Bad request', 'Not found', 'Conflict']);

const problemBody = z.looseObject({
  title: z.string().optional(),
  detail: z.string().optional(),
  problems: z.array(z.string()).optional(),
});

async function toApiError(response: Response, { url, token }: AgentTarget): Promise<ApiError> {
  const { status } = response;
  // A response of a proxy is not problem+json: the message then names only the status.
  const body: unknown = await response.json().catch(() => ({}));
  const { title = '', detail = '', problems = [] } = problemBody.safeParse(body).data ?? {};
  if (problems.length > 1) return new ApiError(status, [`${title}:`, ...problems].join('\n'));
  const texts = detail && GENERIC_TITLES.has(title) ? [detail] : [title, detail].filter(Boolean);
  const summary = [...new Set(texts)].join(': ').replaceAll('\n', ' ');
  if (status === 401 || status === 403) {
    const hint = token ? 'the token was refused' : 'set ACGS_TOKEN';
    return new ApiError(status, `${summary || 'not allowed'} (${hint})`);
  }
  return new ApiError(status, summary || `the agent at ${url} answered ${status}`);
}

function fetchFailureReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError') return `timeout after ${TIMEOUT_MS / 1000} s`;
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  const code = (inner as NodeJS.ErrnoException).code;
  if (code === 'ECONNREFUSED') return 'connection refused (is it running?)';
  return inner.message || code || cause.message;
}
