import type { z } from 'zod';
import { packageVersion } from '../lib/version.ts';
import { ApiError, CliUsageError, CommandFailed } from './errors.ts';
import {
  type HttpRequestOptions,
  type HttpResponse,
  type SendHttpRequest,
  sendHttpRequest,
} from './http-request.ts';
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
  if (stateDir === undefined && env.ACGS_AGENT_URL) {
    if (!/^https?:$/.test(URL.parse(env.ACGS_AGENT_URL)?.protocol ?? '')) {
      throw new CliUsageError(
        `ACGS_AGENT_URL: ${JSON.stringify(env.ACGS_AGENT_URL)} is not a URL such as http://127.0.0.1:9400`,
      );
    }
    return { url: env.ACGS_AGENT_URL.replace(/\/+$/, ''), token: env.ACGS_TOKEN ?? null };
  }
  if (stateDir === '') throw new CliUsageError('--state-dir: "" is not a folder');
  const folder = stateDir ?? env.ACGS_STATE_DIR ?? '.acgs';
  const stack = await readStackFile(folder);
  if (!stack) {
    const hint =
      stateDir !== undefined && env.ACGS_AGENT_URL
        ? 'leave out --state-dir, which is used instead of ACGS_AGENT_URL'
        : 'set ACGS_AGENT_URL and ACGS_TOKEN for a remote agent';
    throw new CommandFailed(
      `no running stack in ${folder}/: start one with \`npm start\`, give its state folder with --state-dir, or ${hint}`,
    );
  }
  return { url: stack.agent.replace(/\/+$/, ''), token: env.ACGS_TOKEN ?? stack.adminToken ?? null, stack };
}

type Schemas = typeof import('../http/schemas/answers.ts');
/** The agent's answers, by the name of their schema. */
export type Answers = {
  [Name in keyof Schemas as Schemas[Name] extends z.ZodType ? Name : never]: Schemas[Name] extends z.ZodType
    ? z.output<Schemas[Name]>
    : never;
};

export interface ApiClient {
  get<Name extends keyof Answers>(path: string, schema: Name): Promise<Answers[Name]>;
  post<Name extends keyof Answers>(path: string, schema: Name, body?: unknown): Promise<Answers[Name]>;
  put<Name extends keyof Answers>(path: string, schema: Name, body?: unknown): Promise<Answers[Name]>;
  /** Returns the answer without validation. */
  send(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Returns the raw response, for streams and text. Throws ApiError outside 2xx. */
  open(path: string, options?: HttpRequestOptions): Promise<HttpResponse>;
}

/**
 * Returns the answer unchanged, so that `--json` keeps the fields of a newer agent. Validates only answers of agents of
 * another version: loading the validator takes as long as the rest of a command. Throws CommandFailed when the answer
 * does not match the schema.
 */
export async function parseAnswer<Name extends keyof Answers>(
  schema: Name,
  value: unknown,
  { request, response }: { request: string; response: HttpResponse },
): Promise<Answers[Name]> {
  if (response.header('x-acgs-version') === packageVersion()) return value as Answers[Name];
  const schemas: Record<string, unknown> = await import('../http/schemas/answers.ts');
  const parsed = (schemas[schema] as z.ZodType).safeParse(value);
  if (parsed.success) return value as Answers[Name];
  const issue = parsed.error.issues[0];
  throw new CommandFailed(
    `unexpected response of the agent to ${request} (${issue?.path.join('.')}: ${issue?.message}); ` +
      'check that agent and command have the same version',
  );
}

const TIMEOUT_MS = 15_000;

/** Client of the agent's API. Every failure is a CommandFailed with a message for the operator. */
export function createApiClient(target: AgentTarget, send: SendHttpRequest = sendHttpRequest): ApiClient {
  const open: ApiClient['open'] = async (path, options = {}) => {
    const authorization = target.token ? { authorization: `Bearer ${target.token}` } : {};
    const headers = { ...options.headers, ...authorization };
    let response: HttpResponse;
    try {
      response = await send(target.url + path, { ...options, headers });
    } catch (cause) {
      throw new CommandFailed(`no answer from the agent at ${target.url}: ${requestFailureReason(cause)}`, {
        cause,
      });
    }
    if (response.status < 200 || response.status > 299) throw await toApiError(response, target);
    return response;
  };
  const exchange = async (method: string, path: string, body: unknown) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const response = await open(path, { method, signal, ...(body !== undefined && json) });
    try {
      return { response, value: JSON.parse((await response.text()) || 'null') as unknown };
    } catch (cause) {
      const reason = cause instanceof SyntaxError ? 'invalid JSON' : requestFailureReason(cause);
      throw new CommandFailed(`the agent at ${target.url} sent an invalid response to ${path}: ${reason}`, {
        cause,
      });
    }
  };
  const call =
    (method: string) =>
    async <Name extends keyof Answers>(
      path: string,
      schema: Name,
      body?: unknown,
    ): Promise<Answers[Name]> => {
      const { response, value } = await exchange(method, path, body);
      return parseAnswer(schema, value, { request: `${method} ${path}`, response });
    };
  return {
    open,
    get: call('GET'),
    post: call('POST'),
    put: call('PUT'),
    send: async (method, path, body) => (await exchange(method, path, body)).value,
  };
}

/** Titles that only repeat the status. */
const GENERIC_TITLES = new Set(['Bad request', 'Not found', 'Conflict']);

async function toApiError(response: HttpResponse, { url, token }: AgentTarget): Promise<ApiError> {
  const { status } = response;
  const { title, detail, problems } = parseProblem(await response.text().catch(() => ''));
  if (problems.length > 1) return new ApiError(status, [`${title}:`, ...problems].join('\n'));
  const texts = detail && GENERIC_TITLES.has(title) ? [detail] : [title, detail].filter(Boolean);
  const summary = [...new Set(texts)].join(': ').replaceAll('\n', ' ');
  if (status === 401 || status === 403) {
    const hint = token ? 'the token was refused' : 'set ACGS_TOKEN';
    return new ApiError(status, `${summary || 'not allowed'} (${hint})`);
  }
  return new ApiError(status, summary || `the agent at ${url} answered ${status}`);
}

/** Problem details (RFC 9457). All parts are empty for any other body, such as a proxy's error page. */
function parseProblem(text: string): { title: string; detail: string; problems: string[] } {
  const body = parseJsonObject(text);
  const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
  const { title, detail, problems } = body;
  return {
    title: textOf(title),
    detail: textOf(detail),
    problems: Array.isArray(problems) ? problems.map(textOf) : [],
  };
}

function parseJsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function requestFailureReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError') return `timeout after ${TIMEOUT_MS / 1000} s`;
  // Node tries every address of a name and reports all failures together.
  const inner = cause instanceof AggregateError && cause.errors[0] instanceof Error ? cause.errors[0] : cause;
  const code = (inner as NodeJS.ErrnoException).code;
  if (code === 'ECONNREFUSED') return 'connection refused (is it running?)';
  return inner.message || code || cause.message;
}
